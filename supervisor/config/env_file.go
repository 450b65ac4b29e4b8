package config

import (
	"errors"
	"fmt"
	"strings"
)

// maxEnvFile, in bytes, is more than any environment that a process is started with.
const maxEnvFile = 1 << 20

// ReadEnvFile reads lines of KEY=VALUE:
//
//	# a comment; empty lines are skipped
//	PORT=7000            # a comment after a blank
//	export NAME=value    # export is allowed, for files that a shell reads too
//	PLAIN=a $b \n        # as it stands: nothing is expanded
//	SINGLE='as it stands # too'
//	DOUBLE="a\tb\n\"c\"" # \n \r \t \" \\ \$ are replaced
//	KEY="-----BEGIN      # what is in quotes may go on in the lines after
//	-----END"
//
// It returns KEY=VALUE in the order of the file. If the file cannot be read, is longer than 1 MiB or is not UTF-8, nothing is
// returned but an error. If lines are wrong the error is a *[Problems], with the line and column of each.
func ReadEnvFile(path string) ([]string, error) {
	text, err := ReadRegular(path, "env file", maxEnvFile)
	if err != nil {
		return nil, err
	}
	return ParseEnv(path, string(text))
}

// ParseEnv is ReadEnvFile for the text of a file, which errors call file.
func ParseEnv(file, text string) ([]string, error) {
	plain, bad, err := PlainText([]byte(text))
	if err != nil {
		e := &Problem{File: file, Message: err.Error()}
		if bad > 0 {
			e.Line, e.Column = bad, 1
		}
		return nil, JoinProblems([]*Problem{e})
	}
	var env []string
	var errs []*Problem
	lines := strings.Split(strings.ReplaceAll(string(plain), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		p := envPair{lines: lines[i:]}
		pair, column, err := p.parse()
		if err != nil {
			errs = append(errs, &Problem{File: file, Line: i + 1, Column: column, Message: err.Error(), Source: lines[i]})
		} else if pair != "" {
			env = append(env, pair)
		}
		i += p.more
	}
	if err := JoinProblems(errs); err != nil {
		return nil, err
	}
	return env, nil
}

// envPair is one line of an env file, with the lines after it in which a quoted value goes on.
type envPair struct {
	lines []string // from this one to the last of the file
	more  int      // lines after the first that were taken
}

// parse returns KEY=VALUE, "" for a line without one, or the column at which the first line is wrong.
func (p *envPair) parse() (pair string, column int, err error) {
	const blanks = " \t"
	line := p.lines[0]
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
	text, rest, err := p.value(value)
	if err != nil {
		return "", column, err
	}
	if strings.ContainsRune(text, 0) {
		return "", column, errors.New("contains a zero byte")
	}
	if rest = strings.TrimLeft(rest, blanks); rest != "" && rest[0] != '#' {
		if p.more > 0 {
			return "", column, fmt.Errorf("more text after the quote that closes this one %d lines on: close it where the value ends", p.more)
		}
		return "", at(rest), errors.New("more text after the closing quote: quote the whole value")
	}
	return key + "=" + text, 0, nil
}

// value returns the value that text begins with, and what follows its closing quote, which may be in a later line.
func (p *envPair) value(text string) (value, rest string, err error) {
	if text == "" {
		return "", "", nil
	}
	if quote := text[0]; quote == '\'' || quote == '"' {
		return p.inQuotes(text[1:], quote)
	}
	// A # begins a comment only after a blank, so that #fff and a fragment of a URL need no quotes.
	for i := 0; i < len(text); i++ {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.TrimRight(text, " \t"), "", nil
}

// inQuotes is value behind the opening quote.
func (p *envPair) inQuotes(text string, quote byte) (value, rest string, err error) {
	var b strings.Builder
	for more := 0; ; more++ {
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == quote:
				p.more = more
				return b.String(), text[i+1:], nil
			case quote == '"' && c == '\\' && i+1 < len(text):
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
		if more+1 == len(p.lines) {
			return "", "", fmt.Errorf("the quote %c is never closed", quote)
		}
		b.WriteByte('\n')
		text = p.lines[more+1]
	}
}

// checkEnvName tells what is wrong with the name of a variable.
func checkEnvName(name string) error {
	switch {
	case name == "":
		return errors.New("a variable without a name")
	case strings.ContainsAny(name, "= \t\x00"):
		return fmt.Errorf("%s is not the name of a variable", Shorten(name))
	case strings.HasPrefix(name, "TINE_"):
		return fmt.Errorf("%s is reserved: names that begin with TINE_ belong to the master", name)
	}
	return nil
}
