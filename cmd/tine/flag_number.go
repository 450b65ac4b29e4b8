package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// wholeNumber reads plain digits, with a sign or without. Nothing else is taken: what begins with 0
// is octal to some programs, and 1_000, 0x10 and 1e3 are numbers to some.
func wholeNumber(text string) (int, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if digits == "" || len(text)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return 0, errors.New("no whole number: write it with the digits 0 to 9 alone")
	}
	if len(digits) > 1 && digits[0] == '0' {
		return 0, errors.New("a number that begins with 0, which some take for octal: write it without")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("too large a number")
	}
	return n, nil
}

// whole is a flag for a whole number.
type whole int

func (w *whole) Set(text string) error {
	n, err := wholeNumber(text)
	if err == nil {
		*w = whole(n)
	}
	return err
}

func (w *whole) String() string { return strconv.Itoa(int(*w)) }
func (w *whole) Type() string   { return "int" }

// wholeVar defines a flag for a whole number.
func wholeVar(flags *pflag.FlagSet, to *int, name, short string, value int, usage string) {
	*to = value
	flags.VarP((*whole)(to), name, short, usage)
}

// span is a flag for a duration.
type span time.Duration

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration: write 30s, 1m30s or 500ms", text)
	}
	*s = span(d)
	return nil
}

func (s *span) String() string { return time.Duration(*s).String() }
func (s *span) Type() string   { return "duration" }

// spanVar defines a flag for a duration.
func spanVar(flags *pflag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	flags.Var((*span)(to), name, usage)
}
