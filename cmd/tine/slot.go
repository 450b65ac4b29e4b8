package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// slotFlag adds the flag --slot. The function returns its value; nil: it was not given.
func slotFlag(cmd *cobra.Command, usage string) func() *int {
	n := new(int)
	cmd.Flags().Var(whole(n), "slot", usage)
	_ = cmd.RegisterFlagCompletionFunc("slot", target.CompleteSlots)
	return func() *int {
		if !cmd.Flags().Changed("slot") {
			return nil
		}
		return n
	}
}

func newDrain() *cobra.Command {
	var o orders
	cmd := &cobra.Command{
		Use:   "drain [APP] SLOT",
		Short: "Take the worker out of one slot, with no request lost",
		Long: `Take the worker out of one slot, with no request lost. The slot gets no other until
tine start APP --slot SLOT, or a restart.`,
		Example: `  tine drain 2
  tine drain web 2
  tine start web --slot 2`,
		Args: arguments(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				_ = cmd.Flags().Set("app", args[0])
				return target.CompleteSlots(cmd, args, text)
			}
			return target.CompleteApps(cmd, args, text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := term.WholeNumber(args[len(args)-1])
			if err != nil {
				return term.Usagef("%q is not a slot: write its number, as tine status shows it", args[len(args)-1])
			}
			return o.whole(cmd, args[:len(args)-1], api.Order{Verb: api.VerbDrain, Slot: &slot}, "drained")
		},
	}
	o.define(cmd, true)
	return cmd
}

func newSignal() *cobra.Command {
	var o orders
	var slot func() *int
	cmd := &cobra.Command{
		Use:     "signal NAME [APP]",
		Aliases: []string{"sendSignal"},
		Short:   "Send a signal to the workers of an app, or to one",
		Example: `  tine signal HUP web
  tine signal USR1 web --slot 2`,
		Args: arguments(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "WINCH", "STOP", "CONT"}, cobra.ShellCompDirectiveNoFileComp
			}
			return target.CompleteApp(cmd, args[1:], text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			order := api.Order{Verb: api.VerbSignal, Signal: args[0], Slot: slot()}
			return o.whole(cmd, args[1:], order, "was sent "+strings.ToUpper(args[0]))
		},
	}
	o.define(cmd, true)
	slot = slotFlag(cmd, "only the worker of this slot")
	return cmd
}
