package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newScale() *cobra.Command {
	var o orders
	cmd := &cobra.Command{
		Use:   "scale [APP] N | scale [APP] +N | scale [APP] -N",
		Short: "Change the number of an app's workers",
		Long: `Change the number of an app's workers, and wait until they are ready, or gone. The
config file stays as it is: its number holds again when tine starts anew.`,
		Example: `  tine scale 4
  tine scale web +1
  tine scale web=4 jobs=2`,
		Args:              arguments(1, -1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			wishes, err := scaleWishes(args)
			if err != nil {
				return err
			}
			if o.App != "" && (len(wishes) > 1 || wishes[0].App != "") {
				return term.Usagef("an app by -a and others as arguments: name each once")
			}
			if len(wishes) == 1 && wishes[0].App == "" {
				wishes[0].App = o.App
			}
			o.App = wishes[0].App
			return o.On(cmd.Context(), nil, func(r *target.Running) error {
				var all []api.Order
				for _, wish := range wishes {
					o.App = wish.App
					if wish.App == "" {
						a, err := r.Single("", api.VerbScale)
						if err != nil {
							return err
						}
						o.App = a.Name
					}
					each, err := o.each(r, wish)
					if err != nil {
						return err
					}
					all = append(all, each...)
				}
				return o.give(cmd, r, all, func(order api.Order) string {
					if order.By {
						return fmt.Sprintf("%s scaled by %+d", term.Whom(order), order.N)
					}
					return fmt.Sprintf("%s scaled to %d", term.Whom(order), order.N)
				})
			})
		},
	}
	o.define(cmd, true)
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// scaleWishes reads [APP] N, or APP=N one or more times.
func scaleWishes(args []string) (wishes []api.Order, err error) {
	add := func(app, number string) {
		n, bad := term.WholeNumber(number)
		if bad != nil && err == nil {
			err = term.Usagef("%q is not a number of workers: write 4, +1 or -1", number)
		}
		by := strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-")
		wishes = append(wishes, api.Order{Verb: api.VerbScale, App: app, N: n, By: by})
	}
	pairs := 0
	for _, arg := range args {
		if app, number, ok := strings.Cut(arg, "="); ok {
			pairs++
			add(app, number)
		}
	}
	switch {
	case pairs == len(args):
	case pairs > 0:
		return nil, term.Usagef("write either APP N or APP=N, not both: %s", strings.Join(args, " "))
	case len(args) == 1:
		add("", args[0])
	case len(args) == 2:
		add(args[0], args[1])
	default:
		return nil, term.Usagef("too many arguments: write APP=N for each: %s", strings.Join(args, " "))
	}
	return wishes, err
}

var negative = regexp.MustCompile(`^-[0-9]+$`)

// negativeNumbers moves the -1 of tine scale behind a --, because it would be read as a flag.
func negativeNumbers(args []string) []string {
	if len(args) == 0 || args[0] != "scale" || slices.Contains(args, "--") {
		return args
	}
	var out, numbers []string
	for _, a := range args {
		if negative.MatchString(a) {
			numbers = append(numbers, a)
		} else {
			out = append(out, a)
		}
	}
	if numbers == nil {
		return args
	}
	return append(append(out, "--"), numbers...)
}
