package main

import (
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// orders is what the commands have in common that change something.
type orders struct {
	target.Target
	json   bool
	reason string
}

// define gives cmd the flags of an order, and those of its target: see target.Define.
func (o *orders) define(cmd *cobra.Command, withApp bool) {
	o.Target.Define(cmd, withApp)
	cmd.Flags().BoolVar(&o.json, "json", false, "print each step as one JSON document a line")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`TEXT` for the events")
}

// give sends orders to a master, one after the other, and shows their steps. It ends at the first that fails. done returns the
// line that is printed after an order.
func (o *orders) give(cmd *cobra.Command, r *target.Running, all []api.Order, done func(api.Order) string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := term.NewScreen(cmd.OutOrStdout())
	for _, order := range all {
		if order.Reason = o.reason; order.Reason == "" {
			order.Reason = "tine " + order.Verb
		}
		p := term.NewProgress(s, order.Verb, o.json)
		err := r.Do(ctx, order, p.Step)
		if ctx.Err() != nil && cmd.Context().Err() == nil {
			return &term.ExitError{Code: term.ExitInterrupted, Text: fmt.Sprintf("the %s goes on without you: see tine status", order.Verb)}
		}
		var cut *control.CutError
		if errors.As(err, &cut) && ctx.Err() == nil {
			err = o.goOn(ctx, r, order, p, cut)
		}
		if err := p.End(err, done(order)); err != nil {
			return err
		}
	}
	return nil
}

// each returns an order for each app that o.App means, or one order for all apps.
func (o *orders) each(r *target.Running, order api.Order) ([]api.Order, error) {
	apps, err := target.Chosen(r.Seen, o.App)
	if err != nil {
		return nil, err
	}
	if len(apps) == len(r.Seen.Apps) && len(apps) != 1 {
		order.App = ""
		return []api.Order{order}, nil
	}
	var all []api.Order
	for _, a := range apps {
		order.App = a.Name
		all = append(all, order)
	}
	return all, nil
}

func newReload() *cobra.Command {
	var o orders
	var refuse bool
	cmd := &cobra.Command{
		Use:        "reload [APP]",
		SuggestFor: []string{"roll", "rollout", "deploy", "update"},
		Short:      "Replace the workers one at a time by what is on disk now, with no request lost",
		Long: `Replace the workers one at a time by what is on disk now, with no request lost, and
wait for the end. Without APP: all apps. When a new worker does not become ready the
old ones stay, its last output is shown, and the exit status is 1.`,
		Example: `  tine reload
  tine reload web --reason 'release 1.4'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			order := api.Order{Verb: api.VerbReload}
			if refuse {
				order.IfRunning = api.IfRunningRefuse
			}
			return o.whole(cmd, args, order, "reloaded")
		},
	}
	o.define(cmd, true)
	cmd.Flags().BoolVar(&refuse, "refuse", false, "fail if a reload is under way, instead of waiting to do one more")
	return cmd
}

func newRollback() *cobra.Command {
	var o orders
	cmd := &cobra.Command{
		Use:        "rollback [APP]",
		SuggestFor: []string{"revert", "undo", "back"},
		Short:      "Replace the workers one at a time by those of the release before, with no request lost",
		Long: `Replace the workers one at a time by those of the release before the last reload, with no
request lost, and wait for the end. That is the program, also where its file was replaced
or removed since, its arguments, folder and environment: tine describe shows both
releases, and what of them is read from disk all the same. A second rollback goes forward.
The next reload takes what is on disk. Without APP: all apps that have a release before.
Where there is none the exit status is 1.`,
		Example: `  tine rollback
  tine rollback web --reason 'too many errors'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, api.Order{Verb: api.VerbRollback}, "rolled back")
		},
	}
	o.define(cmd, true)
	return cmd
}

// whole gives an order to each app that args or -a means. Without a name that is all apps, but for a restart, a signal and an
// order for a slot, where the master must run only one app. did is printed after each.
func (o *orders) whole(cmd *cobra.Command, args []string, order api.Order, did string) error {
	return o.On(cmd.Context(), args, func(r *target.Running) error {
		if order.Slot != nil || o.App == "" && (order.Verb == api.VerbRestart || order.Verb == api.VerbSignal) {
			a, err := r.Single(o.App, order.Verb)
			if err != nil {
				return err
			}
			o.App = a.Name
		}
		all, err := o.each(r, order)
		if err != nil {
			return err
		}
		return o.give(cmd, r, all, func(order api.Order) string { return term.Whom(order) + " " + did })
	})
}

func newRestart() *cobra.Command {
	var o orders
	var slot func() *int
	var now bool
	cmd := &cobra.Command{
		Use:   "restart APP | restart all",
		Short: "Stop an app's workers and start them again, all at once: see reload for without a gap",
		Example: `  tine restart web
  tine restart web --slot 2`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, api.Order{Verb: api.VerbRestart, Slot: slot(), Now: now}, "restarted")
		},
	}
	o.define(cmd, true)
	slot = slotFlag(cmd, "only the worker of this slot")
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them")
	return cmd
}
