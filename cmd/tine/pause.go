package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newPause() *cobra.Command {
	var o orders
	var bound time.Duration
	cmd := &cobra.Command{
		Use:   "pause APP",
		Short: "Have gateways hold the requests to an app, instead of passing them on",
		Long: `Have gateways hold the requests to an app, instead of passing them on. They wait in the
gateway for as long as its queue allows (queue.timeout, 10s by default); then they get
503. What the app has in flight goes on, and requests that reach the app by its own
address are not held. tine resume APP ends it, and so does --for. A crash of tine, an
upgrade and a restart of the app change nothing.`,
		Example: `  tine pause web --for 30s
  tine pause web --reason 'migration of the database'; ./migrate; tine resume web`,
		Args:              arguments(1, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if bound < 0 || bound > api.MaxPause {
				return term.Usagef("--for: %s is out of range: write up to %s, or 0 for until tine resume", bound, api.MaxPause)
			}
			did := "paused until tine resume"
			if bound > 0 {
				did = "paused for " + bound.String()
			}
			return o.whole(cmd, args, api.Order{Verb: api.VerbPause, ForMS: api.Milliseconds(bound)}, did)
		},
	}
	o.define(cmd, true)
	cmd.Flags().Var(span(&bound), "for", "how long; 0: until tine resume")
	return cmd
}

func newResume() *cobra.Command {
	var o orders
	cmd := &cobra.Command{
		Use:               "resume APP",
		Short:             "Have gateways pass on the requests to an app that was paused",
		Example:           "  tine resume web",
		Args:              arguments(1, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.whole(cmd, args, api.Order{Verb: api.VerbResume}, "resumed")
		},
	}
	o.define(cmd, true)
	return cmd
}
