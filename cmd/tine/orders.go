package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

// orders is what the verbs that change something have in common.
type orders struct {
	target.Target
	json   bool
	reason string
}

// define gives cmd the flags of an order, and those of its target: see target.Define.
func (o *orders) define(cmd *cobra.Command, withApp bool) {
	o.Target.Define(cmd, withApp)
	cmd.Flags().BoolVar(&o.json, "json", false, "print each step as one JSON document a line")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`TEXT` to be told in the events")
}

// give has orders carried out one after the other and shows their steps. The first
// that fails is the last. done makes the line that says so of one that is done.
func (o *orders) give(cmd *cobra.Command, r *target.Running, all []control.Order, done func(control.Order) string) error {
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

// each is an order for each app that a name means: one for all where it means all.
func (o *orders) each(r *target.Running, order control.Order) ([]control.Order, error) {
	apps, err := target.Chosen(r.Seen, o.App)
	if err != nil {
		return nil, err
	}
	if len(apps) == len(r.Seen.Apps) && len(apps) != 1 {
		order.App = ""
		return []control.Order{order}, nil
	}
	var all []control.Order
	for _, a := range apps {
		order.App = a.Name
		all = append(all, order)
	}
	return all, nil
}

// slotFlag is a slot that need not be given.
func slotFlag(cmd *cobra.Command, usage string) func() *int {
	n := new(int)
	wholeVar(cmd.Flags(), n, "slot", "", 0, usage)
	_ = cmd.RegisterFlagCompletionFunc("slot", target.CompleteSlots)
	return func() *int {
		if !cmd.Flags().Changed("slot") {
			return nil
		}
		return n
	}
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
			order := control.Order{Verb: control.VerbReload}
			if refuse {
				order.IfRunning = control.IfRunningRefuse
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
releases, and what of them is read from disk all the same. Said again, it goes forward.
The next reload takes what is on disk. Without APP: all apps that have a release before.
Where there is none the exit status is 1.`,
		Example: `  tine rollback
  tine rollback web --reason 'too many errors'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, control.Order{Verb: control.VerbRollback}, "rolled back")
		},
	}
	o.define(cmd, true)
	return cmd
}

// whole gives an order to each app that is named, or to all. An order for a slot, a restart and a signal are for all apps
// only by the name "all": without a name the master must run one app.
func (o *orders) whole(cmd *cobra.Command, args []string, order control.Order, did string) error {
	return o.On(cmd.Context(), args, func(r *target.Running) error {
		if order.Slot != nil || o.App == "" && (order.Verb == control.VerbRestart || order.Verb == control.VerbSignal) {
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
		return o.give(cmd, r, all, func(order control.Order) string { return term.Whom(order) + " " + did })
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
			return o.whole(cmd, args, control.Order{Verb: control.VerbRestart, Slot: slot(), Now: now}, "restarted")
		},
	}
	o.define(cmd, true)
	slot = slotFlag(cmd, "only the worker of this slot")
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them")
	return cmd
}

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
				var all []control.Order
				for _, wish := range wishes {
					o.App = wish.App
					if wish.App == "" {
						a, err := r.Single("", control.VerbScale)
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
				return o.give(cmd, r, all, func(order control.Order) string {
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
func scaleWishes(args []string) (wishes []control.Order, err error) {
	add := func(app, number string) {
		n, bad := term.WholeNumber(number)
		if bad != nil && err == nil {
			err = term.Usagef("%q is no number of workers: write 4, +1 or -1", number)
		}
		by := strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-")
		wishes = append(wishes, control.Order{Verb: control.VerbScale, App: app, N: n, By: by})
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

// negativeNumbers moves scale's -1 behind a --, so that it is not taken for a flag.
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
			if err := o.Named(args[:len(args)-1]); err != nil {
				return err
			}
			slot, err := term.WholeNumber(args[len(args)-1])
			if err != nil {
				return term.Usagef("%q is no slot: write its number, as tine status shows it", args[len(args)-1])
			}
			return o.whole(cmd, nil, control.Order{Verb: control.VerbDrain, Slot: &slot}, "drained")
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
			order := control.Order{Verb: control.VerbSignal, Signal: args[0], Slot: slot()}
			return o.whole(cmd, args[1:], order, "was sent "+strings.ToUpper(args[0]))
		},
	}
	o.define(cmd, true)
	slot = slotFlag(cmd, "only the worker of this slot")
	return cmd
}

func newStop() *cobra.Command {
	var o orders
	var now bool
	cmd := &cobra.Command{
		Use:        "stop [APP]",
		SuggestFor: []string{"delete", "del", "kill", "down", "halt", "quit", "shutdown"},
		Short:      "Stop tine with all its apps, or one app",
		Long: `Stop tine with all its apps, and wait for its end; or with APP, only the workers of
this app, which stays in the list: tine start APP starts it again.`,
		Example: `  tine stop
  tine stop web
  tine stop --now`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Named(args); err != nil {
				return err
			}
			if o.App != "" {
				return o.whole(cmd, nil, control.Order{Verb: control.VerbStop, Now: now}, "stopped")
			}
			r, err := o.Find(cmd.Context())
			var lost *target.LostError
			if errors.As(err, &lost) {
				if err := o.stopLost(cmd.Context(), lost, now); err != nil {
					return err
				}
				if !o.json {
					fmt.Fprintf(cmd.OutOrStdout(), "%s stopped\n", lost.Name)
				}
				return nil
			}
			if err != nil {
				return err
			}
			defer r.Close()
			ended := endOf(foremost(r.Seen))
			err = o.give(cmd, r, []control.Order{{Verb: control.VerbShutdown, Now: now}}, func(control.Order) string {
				return ""
			})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
			defer cancel()
			if err := ended(ctx); err != nil {
				return fmt.Errorf("cannot see the end of tine (pid %d), which has stopped its apps: %w", foremost(r.Seen), err)
			}
			if !o.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s stopped\n", r.Seen.Name)
			}
			return nil
		},
	}
	o.define(cmd, true)
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them: requests in flight are lost")
	return cmd
}

// stopLost has the keeper end what has lost its master.
func (o *orders) stopLost(ctx context.Context, lost *target.LostError, now bool) error {
	ctx, cancel := context.WithTimeout(ctx, goOnTimeout)
	defer cancel()
	ended := endOf(lost.PID)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(lost.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot stop %s: cannot signal its keeper, pid %d: %w", lost.Name, lost.PID, err)
		}
		if !now { // a second one kills
			break
		}
	}
	if err := ended(ctx); err != nil {
		return fmt.Errorf("cannot see the end of the keeper of %s (pid %d): %w", lost.Name, lost.PID, err)
	}
	return nil
}
