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
	"github.com/tinehq/tine/supervisor/control"
)

// orders is what the verbs that change something have in common.
type orders struct {
	*target
	json   bool
	reason string
}

func addOrders(cmd *cobra.Command) *orders {
	o := &orders{target: addTarget(cmd, true)}
	o.addFlags(cmd)
	return o
}

func (o *orders) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print each step as one JSON document a line")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`TEXT` to be told in the events")
}

// give has orders carried out one after the other and shows their steps. The first
// that fails is the last. done makes the line that says so of one that is done.
func (o *orders) give(cmd *cobra.Command, r *running, all []control.Order, done func(control.Order) string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := newScreen(cmd.OutOrStdout())
	for _, order := range all {
		if order.Reason = o.reason; order.Reason == "" {
			order.Reason = "tine " + order.Verb
		}
		p := newProgress(s, order.Verb, o.json)
		err := r.Do(ctx, order, p.step)
		if ctx.Err() != nil && cmd.Context().Err() == nil {
			return &exitError{exitInterrupted, fmt.Sprintf("the %s goes on without you: see tine status", order.Verb)}
		}
		var cut *control.CutError
		if errors.As(err, &cut) && ctx.Err() == nil {
			err = o.goOn(ctx, r, order, p, cut)
		}
		if err := p.end(err, done(order)); err != nil {
			return err
		}
	}
	return nil
}

// each is an order for each app that a name means: one for all where it means all.
func (o *orders) each(r *running, order control.Order) ([]control.Order, error) {
	apps, err := chosen(r.status, o.app)
	if err != nil {
		return nil, err
	}
	if len(apps) == len(r.status.Apps) && len(apps) != 1 {
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

// whom names the app of an order.
func whom(o control.Order) string {
	switch {
	case o.App == "":
		return "all apps"
	case o.Slot != nil:
		return where(o.App, o.Slot)
	}
	return o.App
}

// slotFlag is a slot that need not be given.
func slotFlag(cmd *cobra.Command, usage string) func() *int {
	n := new(int)
	wholeVar(cmd.Flags(), n, "slot", "", 0, usage)
	_ = cmd.RegisterFlagCompletionFunc("slot", completeSlots)
	return func() *int {
		if !cmd.Flags().Changed("slot") {
			return nil
		}
		return n
	}
}

func newReload() *cobra.Command {
	var o *orders
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
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			order := control.Order{Verb: control.VerbReload}
			if refuse {
				order.IfRunning = control.IfRunningRefuse
			}
			return o.whole(cmd, args, order, "reloaded")
		},
	}
	o = addOrders(cmd)
	cmd.Flags().BoolVar(&refuse, "refuse", false, "fail if a reload is under way, instead of waiting to do one more")
	return cmd
}

func newRollback() *cobra.Command {
	var o *orders
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
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, control.Order{Verb: control.VerbRollback}, "rolled back")
		},
	}
	o = addOrders(cmd)
	return cmd
}

// whole gives an order for what is named, or for all.
func (o *orders) whole(cmd *cobra.Command, args []string, order control.Order, did string) error {
	if err := o.named(args); err != nil {
		return err
	}
	r, err := o.find(cmd.Context())
	if err != nil {
		return err
	}
	defer r.Close()
	if order.Slot != nil || order.Verb == control.VerbRestart && o.app == "" {
		a, err := r.single(o.app, order.Verb)
		if err != nil {
			return err
		}
		o.app = a.Name
	}
	all, err := o.each(r, order)
	if err != nil {
		return err
	}
	return o.give(cmd, r, all, func(order control.Order) string { return whom(order) + " " + did })
}

func newRestart() *cobra.Command {
	var o *orders
	var slot func() *int
	var now bool
	cmd := &cobra.Command{
		Use:   "restart APP | restart all",
		Short: "Stop an app's workers and start them again, all at once: see reload for without a gap",
		Example: `  tine restart web
  tine restart web --slot 2`,
		Args:              arguments(0, 1),
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, control.Order{Verb: control.VerbRestart, Slot: slot(), Now: now}, "restarted")
		},
	}
	o = addOrders(cmd)
	slot = slotFlag(cmd, "only the worker of this slot")
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them")
	return cmd
}

func newScale() *cobra.Command {
	var o *orders
	cmd := &cobra.Command{
		Use:   "scale [APP] N | scale [APP] +N | scale [APP] -N",
		Short: "Change the number of an app's workers",
		Long: `Change the number of an app's workers, and wait until they are ready, or gone. The
config file stays as it is: its number holds again when tine starts anew.`,
		Example: `  tine scale 4
  tine scale web +1
  tine scale web=4 jobs=2`,
		Args:              arguments(1, -1),
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			wishes, err := scaleWishes(args)
			if err != nil {
				return err
			}
			if o.app != "" && (len(wishes) > 1 || wishes[0].App != "") {
				return usageError{errors.New("an app by -a and others as arguments: name each once")}
			}
			if len(wishes) == 1 && wishes[0].App == "" {
				wishes[0].App = o.app
			}
			o.app = wishes[0].App
			r, err := o.find(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			var all []control.Order
			for _, wish := range wishes {
				o.app = wish.App
				if wish.App == "" {
					a, err := r.single("", control.VerbScale)
					if err != nil {
						return err
					}
					o.app = a.Name
				}
				each, err := o.each(r, wish)
				if err != nil {
					return err
				}
				all = append(all, each...)
			}
			return o.give(cmd, r, all, func(order control.Order) string {
				if order.By {
					return fmt.Sprintf("%s scaled by %+d", whom(order), order.N)
				}
				return fmt.Sprintf("%s scaled to %d", whom(order), order.N)
			})
		},
	}
	o = addOrders(cmd)
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// scaleWishes reads [APP] N, or APP=N one or more times.
func scaleWishes(args []string) (wishes []control.Order, err error) {
	add := func(app, number string) {
		n, bad := wholeNumber(number)
		if bad != nil && err == nil {
			err = usageError{fmt.Errorf("%q is no number of workers: write 4, +1 or -1", number)}
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
		return nil, usageError{fmt.Errorf("write either APP N or APP=N, not both: %s", strings.Join(args, " "))}
	case len(args) == 1:
		add("", args[0])
	case len(args) == 2:
		add(args[0], args[1])
	default:
		return nil, usageError{fmt.Errorf("too many arguments: write APP=N for each: %s", strings.Join(args, " "))}
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
	var o *orders
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
				return completeSlots(cmd, args, text)
			}
			return completeApps(cmd, args, text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.named(args[:len(args)-1]); err != nil {
				return err
			}
			slot, err := wholeNumber(args[len(args)-1])
			if err != nil {
				return usageError{fmt.Errorf("%q is no slot: write its number, as tine status shows it", args[len(args)-1])}
			}
			return o.whole(cmd, nil, control.Order{Verb: control.VerbDrain, Slot: &slot}, "drained")
		},
	}
	o = addOrders(cmd)
	return cmd
}

func newSignal() *cobra.Command {
	var o *orders
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
			return completeApp(cmd, args[1:], text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			order := control.Order{Verb: control.VerbSignal, Signal: args[0], Slot: slot()}
			return o.forOne(cmd, args[1:], order, "was sent "+strings.ToUpper(args[0]))
		},
	}
	o = addOrders(cmd)
	slot = slotFlag(cmd, "only the worker of this slot")
	return cmd
}

// forOne is whole, but where no app is named there must be only one.
func (o *orders) forOne(cmd *cobra.Command, args []string, order control.Order, did string) error {
	if err := o.named(args); err != nil {
		return err
	}
	if o.app == "" {
		r, err := o.find(cmd.Context())
		if err != nil {
			return err
		}
		a, err := r.single("", order.Verb)
		r.Close()
		if err != nil {
			return err
		}
		o.app, o.socket = a.Name, r.Path()
	}
	return o.whole(cmd, nil, order, did)
}

func newStop() *cobra.Command {
	var o *orders
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
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.named(args); err != nil {
				return err
			}
			if o.app != "" {
				return o.whole(cmd, nil, control.Order{Verb: control.VerbStop, Now: now}, "stopped")
			}
			r, err := o.find(cmd.Context())
			var lost *lostMaster
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
			ended := endOf(foremost(r.status))
			err = o.give(cmd, r, []control.Order{{Verb: control.VerbShutdown, Now: now}}, func(control.Order) string {
				return ""
			})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), answerTimeout)
			defer cancel()
			if err := ended(ctx); err != nil {
				return fmt.Errorf("cannot see the end of tine (pid %d), which has stopped its apps: %w", foremost(r.status), err)
			}
			if !o.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s stopped\n", r.status.Name)
			}
			return nil
		},
	}
	o = addOrders(cmd)
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them: requests in flight are lost")
	return cmd
}
