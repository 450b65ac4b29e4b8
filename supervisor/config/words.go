package config

import (
	"errors"
	"fmt"
	"strings"
)

// SplitWords splits a command into words as a shell does: at blanks, except in quotes and after a backslash. It runs no shell,
// so text that needs one (a pipe, a variable, a pattern) is an error, unless it is quoted.
func SplitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' && r != '$' && r != '`' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			switch {
			case r == quote:
				quote = 0
			case quote == '"' && (r == '$' || r == '`'):
				return nil, needsShell(r)
			default:
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case strings.ContainsRune("|&;<>()$`*?", r):
			return nil, needsShell(r)
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	switch {
	case escaped:
		return nil, errors.New("ends with a backslash")
	case quote != 0:
		return nil, fmt.Errorf("the quote %c is never closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

func needsShell(r rune) error {
	return fmt.Errorf("%c needs a shell, and a command runs without one: write [sh, -c, 'exec ...'], or quote it", r)
}
