package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/cmd/tine/internal/top"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newTop() *cobra.Command {
	var t target.Target
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
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			s := term.NewScreen(cmd.OutOrStdout())
			if !s.Terminal || !term.NewScreen(os.Stdin).Terminal || os.Getenv("TERM") == "dumb" {
				return term.Usagef("top needs a terminal; without one: tine status --json")
			}
			return t.On(cmd.Context(), args, func(r *target.Running) error {
				if _, err := target.Chosen(r.Seen, t.App); err != nil {
					return err
				}
				return top.Watch(cmd.Context(), r.Client, r.Seen, func(st api.Status) []api.App {
					apps, _ := target.Chosen(st, t.App) // none: the app has been removed since
					return apps
				}, s)
			})
		},
	}
	t.Define(cmd, true)
	return cmd
}
