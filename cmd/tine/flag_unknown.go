package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

// otherFlags are flags that other process managers have, by their own name.
var otherFlags = map[string]string{"i": "workers", "instances": "workers", "max-memory-restart": "max-rss", "lines": "last"}

// badFlag is the error of a flag that a verb does not take: the nearest that it has is
// named.
func badFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearestFlag(cmd.Flags(), unknown.GetSpecifiedName()); near != nil {
			name := "--" + near.Name
			if near.Shorthand != "" {
				name = "-" + near.Shorthand
			}
			err = fmt.Errorf("%w: did you mean %s?", err, name)
		}
	}
	return term.Usagef("%w (see %s --help)", err, cmd.CommandPath())
}

// nearestFlag is the one that was probably meant by name, or nil.
func nearestFlag(flags *pflag.FlagSet, name string) *pflag.Flag {
	if f := flags.Lookup(otherFlags[name]); f != nil {
		return f
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if len(name) < 2 {
		return nil
	}
	return flags.Lookup(control.Nearest(name, known))
}
