package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

func newTop() *cobra.Command {
	var t *target
	cmd := &cobra.Command{
		Use:        "top [APP]",
		SuggestFor: []string{"monit", "monitor", "dash", "dashboard", "watch", "stats", "attach"},
		Short:      "Watch the workers live: load, latency, memory, logs; and reload, scale or drain them",
		Long: `Watch the workers of one master live: requests, errors and latency, CPU and memory,
the log of the one that is chosen, and what happens. Keys reload, scale, drain and stop,
each after a question; ? explains them. The master is asked once a second, and only
while this runs.`,
		Example: `  tine top
  tine top web
  NO_COLOR=1 tine top -m shop`,
		Args:              arguments(0, 1),
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.named(args); err != nil {
				return err
			}
			s := newScreen(cmd.OutOrStdout())
			if !s.terminal || !newScreen(os.Stdin).terminal || os.Getenv("TERM") == "dumb" {
				return usageError{errors.New("top needs a terminal; without one: tine status --json")}
			}
			r, err := t.find(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := chosen(r.status, t.app); err != nil {
				return err
			}
			return watch(cmd.Context(), r, t.app, s)
		},
	}
	t = addTarget(cmd, true)
	return cmd
}

// watch shows the master until the user quits.
func watch(ctx context.Context, r *running, app string, s screen) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newTopModel(ctx, r.Client, app, s.colours)
	m.width, m.height = s.width, s.height
	m.keep(r.status)
	_, err := tea.NewProgram(m, tea.WithContext(ctx)).Run()
	cancel()
	m.feeds.Wait()
	if errors.Is(err, tea.ErrInterrupted) {
		err = context.Canceled
	}
	if err != nil {
		return fmt.Errorf("cannot go on with the live view: %w", err)
	}
	for _, o := range m.orders {
		fmt.Fprintf(s, "the %s goes on without you: see tine status\n", o.title)
	}
	return nil
}

// master is what the live view asks: a *control.Client.
type master interface {
	Status(context.Context) (control.Status, error)
	Do(context.Context, control.Order, func(control.Progress)) error
	Logs(context.Context, control.LogQuery, func(control.LogLine) error) error
	EventsLast(ctx context.Context, after uint64, last int, follow bool, yield func(control.Event) error) error
}
