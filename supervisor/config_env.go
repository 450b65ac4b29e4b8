package supervisor

import (
	"errors"
	"fmt"
	"strings"
)

// maxEnvFile is far above what the kernel lets a process have as its environment.
const maxEnvFile = 1 << 20

// ReadEnvFile reads lines of KEY=VALUE:
//
//	# a comment; empty lines are skipped
//	PORT=7000            # a comment after a blank
//	export NAME=value    # export is allowed, for files that a shell reads too
//	PLAIN=a $b \n        # as it stands: nothing is expanded
//	SINGLE='as it stands # too'
//	DOUBLE="a\tb\n\"c\"" # \n \r \t \" \\ \$ are replaced
//
// It returns KEY=VALUE in the order of the file. When a line is wrong the error is a *[ConfigErrors].
func ReadEnvFile(path string) ([]string, error) {
	text, err := readRegular(path, "env file", maxEnvFile)
	if err != nil {
		return nil, err
	}
	return parseEnv(path, string(text))
}

func parseEnv(file, text string) ([]string, error) {
	var env []string
	var errs []*ConfigError
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		pair, column, err := parseEnvLine(line)
		if err != nil {
			errs = append(errs, &ConfigError{File: file, Line: i + 1, Column: column, Message: err.Error(), Source: line})
		} else if pair != "" {
			env = append(env, pair)
		}
	}
	if err := joinConfigErrors(errs); err != nil {
		return nil, err
	}
	return env, nil
}

// parseEnvLine returns KEY=VALUE, "" for a line without one, or the column at which the line is wrong.
func parseEnvLine(line string) (pair string, column int, err error) {
	const blanks = " \t"
	rest := strings.TrimLeft(line, blanks)
	if rest == "" || rest[0] == '#' {
		return "", 0, nil
	}
	if after, ok := strings.CutPrefix(rest, "export"); ok && strings.TrimLeft(after, blanks) != after {
		rest = strings.TrimLeft(after, blanks)
	}
	at := func(rest string) int { return len([]rune(line[:len(line)-len(rest)])) + 1 }
	key, value, ok := strings.Cut(rest, "=")
	if !ok {
		return "", at(rest), errors.New("no KEY=VALUE: an = is missing")
	}
	if err := checkEnvName(key); err != nil {
		return "", at(rest), err
	}
	value = strings.TrimLeft(value, blanks)
	column = at(value)
	text, rest, err := envValue(value)
	if err != nil {
		return "", column, err
	}
	if strings.ContainsRune(text, 0) {
		return "", column, errors.New("contains a zero byte")
	}
	if rest = strings.TrimLeft(rest, blanks); rest != "" && rest[0] != '#' {
		return "", at(rest), errors.New("more text after the closing quote: quote the whole value")
	}
	return key + "=" + text, 0, nil
}

// envValue returns the value that text begins with, and what follows its closing quote.
func envValue(text string) (value, rest string, err error) {
	if text == "" {
		return "", "", nil
	}
	switch quote := text[0]; quote {
	case '\'':
		value, rest, ok := strings.Cut(text[1:], "'")
		if !ok {
			return "", "", errors.New("the quote ' is never closed in this line")
		}
		return value, rest, nil
	case '"':
		var b strings.Builder
		for i := 1; i < len(text); i++ {
			switch c := text[i]; {
			case c == '"':
				return b.String(), text[i+1:], nil
			case c == '\\' && i+1 < len(text):
				i++
				switch text[i] {
				case 'n':
					b.WriteByte('\n')
				case 'r':
					b.WriteByte('\r')
				case 't':
					b.WriteByte('\t')
				case '"', '\\', '$':
					b.WriteByte(text[i])
				default:
					b.WriteByte('\\')
					b.WriteByte(text[i])
				}
			default:
				b.WriteByte(c)
			}
		}
		return "", "", errors.New(`the quote " is never closed in this line`)
	}
	// A # begins a comment only after a blank, so that colours and fragments need no quotes.
	for i := 0; i < len(text); i++ {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.TrimRight(text, " \t"), "", nil
}

// checkEnvName tells what is wrong with the name of a variable.
func checkEnvName(name string) error {
	switch {
	case name == "":
		return errors.New("a variable without a name")
	case strings.ContainsAny(name, "= \t\x00"):
		return fmt.Errorf("%s is no name of a variable", shorten(name))
	case strings.HasPrefix(name, "TINE_"):
		return fmt.Errorf("%s is reserved: names that begin with TINE_ belong to the master", name)
	}
	return nil
}
