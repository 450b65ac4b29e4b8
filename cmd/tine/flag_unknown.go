package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// otherFlags are flags of other process managers, with the flag of tine that does the same.
var otherFlags = map[string]string{"i": "workers", "instances": "workers", "max-memory-restart": "max-rss", "lines": "last"}

// badFlag adds to the error of an unknown flag the one that was probably meant, and where the help is.
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

// nearestFlag returns the flag that was probably meant by name; nil: there is none.
func nearestFlag(flags *pflag.FlagSet, name string) *pflag.Flag {
	if f := flags.Lookup(otherFlags[name]); f != nil {
		return f
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if len(name) < 2 {
		return nil
	}
	return flags.Lookup(api.Nearest(name, known))
}
