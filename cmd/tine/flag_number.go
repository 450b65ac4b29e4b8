package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// whole is a flag for a whole number.
type whole int

func (w *whole) Set(text string) error {
	n, err := term.WholeNumber(text)
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
		return fmt.Errorf("%q is not a duration: write 30s, 1m30s or 500ms", text)
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
