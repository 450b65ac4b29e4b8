package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newEvents() *cobra.Command {
	var asJSON, follow bool
	var t target.Target
	last := recent * 2
	cmd := &cobra.Command{
		Use:   "events [APP]",
		Short: "Show what happened: starts, exits, rollouts, changed values",
		Long: `Show what happened: starts, exits, rollouts, changed values. A master keeps the
newest 4,096 events.`,
		Example: `  tine events -f
  tine events web -n all --json | jq 'select(.kind=="exited")'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: t.Run(func(cmd *cobra.Command, r *target.Running) error {
			apps, err := appsOrAll(r.Seen, t.App)
			if err != nil {
				return err
			}
			s := term.NewScreen(cmd.OutOrStdout())
			show := func(e api.Event) error {
				if asJSON {
					return term.PrintLine(s, e)
				}
				_, err := fmt.Fprintln(s, term.EventText(s, e))
				return err
			}
			wanted := func(e api.Event) bool { return apps == nil || apps[e.App] || e.Missed > 0 }
			var after uint64
			var kept []api.Event
			ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
			err = r.Events(ctx, 0, false, func(e api.Event) error {
				after = e.ID
				if wanted(e) {
					if kept = append(kept, e); last >= 0 && len(kept) > last {
						kept = kept[1:]
					}
				}
				return nil
			})
			cancel()
			if err != nil {
				return fmt.Errorf("cannot read the events: %w", err)
			}
			for _, e := range kept {
				if err := show(e); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return followed(cmd, r, func(next bool) error {
				if next {
					after = 0
				}
				return r.Events(cmd.Context(), after, true, func(e api.Event) error {
					if !wanted(e) {
						return nil
					}
					return show(e)
				})
			})
		}),
	}
	t.Define(cmd, true)
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "print new events too, until Ctrl-C or the end of tine")
	flags.VarP(lineCount(&last), "last", "n", "how many events, the newest, or all")
	flags.BoolVar(&asJSON, "json", false, "print one JSON document a line")
	return cmd
}

// followed reads a stream until its master ends and then, from the beginning (next), the stream of the master that follows,
// if there is one. The end of the last master is not an error.
func followed(cmd *cobra.Command, r *target.Running, read func(next bool) error) error {
	pid := r.Seen.PID
	for next := false; ; next = true {
		err := read(next)
		r.Close() // the connections to the old master
		ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
		now, gone := r.Status(ctx)
		cancel()
		if gone != nil || now.PID == pid {
			if err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "tine has ended")
			}
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "the master, pid %d, has ended; pid %d goes on\n", pid, now.PID)
		pid = now.PID
	}
}

// appsOrAll returns the set of the apps that a name means; nil for all of the master.
func appsOrAll(st api.Status, name string) (map[string]bool, error) {
	apps, err := target.Chosen(st, name)
	if err != nil || name == "" || name == target.All {
		return nil, err
	}
	set := map[string]bool{}
	for _, a := range apps {
		set[a.Name] = true
	}
	return set, nil
}
