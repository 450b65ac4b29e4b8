package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/supervisor/control/api"
)

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
			if len(args) > 0 || o.App != "" {
				return o.whole(cmd, args, api.Order{Verb: api.VerbStop, Now: now}, "stopped")
			}
			stopped := ""
			err := o.On(cmd.Context(), nil, func(r *target.Running) error {
				stopped = r.Seen.Name
				return o.stopAll(cmd, r, now)
			})
			var lost *target.LostError
			if errors.As(err, &lost) {
				stopped, err = lost.Name, o.stopLost(cmd.Context(), lost, now)
			}
			if err == nil && !o.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s stopped\n", stopped)
			}
			return err
		},
	}
	o.define(cmd, true)
	cmd.Flags().BoolVar(&now, "now", false, "kill the workers instead of draining them: requests in flight are lost")
	return cmd
}

// stopAll ends a master, and its keeper where it has one, and waits for the end of both.
func (o *orders) stopAll(cmd *cobra.Command, r *target.Running, now bool) error {
	pid := foremost(r.Seen)
	ended := endOf(pid)
	if err := o.give(cmd, r, []api.Order{{Verb: api.VerbShutdown, Now: now}}, func(api.Order) string { return "" }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
	defer cancel()
	if err := ended(ctx); err != nil {
		return fmt.Errorf("cannot see the end of tine (pid %d), which has stopped its apps: %w", pid, err)
	}
	return nil
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

// foremost is the process that a person knows as tine: it gets the signals, and ends last.
func foremost(st api.Status) int {
	return cmp.Or(st.KeeperPID, st.PID)
}
