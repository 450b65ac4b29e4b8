package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// recent is how many events and lines describe shows.
const recent = 10

func newDescribe() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:     "describe [APP]",
		Aliases: []string{"show", "inspect", "info", "desc"},
		Short:   "Show everything about one app",
		Example: `  tine describe web
  tine describe web --json | jq .app.rollout`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: t.Run(func(cmd *cobra.Command, r *target.Running) error {
			app, err := r.Single(t.App, "describe")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
			defer cancel()
			d := description{App: app, Events: []api.Event{}, Logs: []api.LogLine{}}
			d.Master.Name, d.Master.PID, d.Master.Version = r.Seen.Name, r.Seen.PID, r.Seen.Version
			d.Master.UptimeS, d.Master.Control = r.Seen.UptimeS, r.Path()
			err = r.Events(ctx, 0, false, func(e api.Event) error {
				if e.App == app.Name {
					if d.Events = append(d.Events, e); len(d.Events) > recent {
						d.Events = d.Events[1:]
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("cannot read the events of %s: %w", app.Name, err)
			}
			err = r.Logs(ctx, api.LogQuery{App: app.Name, Last: recent}, func(l api.LogLine) error {
				d.Logs = append(d.Logs, l)
				return nil
			})
			if err != nil {
				return fmt.Errorf("cannot read the log of %s: %w", app.Name, err)
			}
			if g, ok := gatewaysShown(cmd, r)[app.Name]; ok {
				d.Gateway = &g
			}
			return answer(cmd, asJSON, d, d.print)
		}),
	}
	t.Define(cmd, true)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// description is what describe --json prints.
type description struct {
	Master struct {
		Name    string  `json:"name"`
		PID     int     `json:"pid"`
		Version string  `json:"version"`
		UptimeS float64 `json:"uptime_s"`
		Control string  `json:"control"`
	} `json:"master"`
	App     api.App       `json:"app"`
	Gateway *api.Gateway  `json:"gateway,omitempty"` // none: it is not a gateway, or did not answer
	Events  []api.Event   `json:"events"`            // the newest
	Logs    []api.LogLine `json:"logs"`              // the newest
}

func (d description) print(s term.Screen) {
	a := d.App
	state := term.AppState(a)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(s, "%s%s\n", s.Paint(term.Bold, fmt.Sprintf("%-12s", name)), value)
		}
	}
	line("app", a.Name)
	line("namespace", a.Namespace)
	line("state", s.Paint(state.Colour, state.Text))
	line("", s.Paint(term.Red, appTrouble(a)))
	line("", s.Paint(term.Yellow, paused(a, time.Now())))
	line("ready", fmt.Sprintf("%d of %d", a.Ready, a.Desired))
	line("listen", strings.Join(a.Listen, " "))
	if d.Gateway != nil {
		line("gateway", s.Paint(term.GatewayColour(*d.Gateway), term.GatewayText(*d.Gateway))+": tine gate members "+a.Name)
	}
	line("generation", fmt.Sprint(a.Generation))
	if r := a.Rollout; r != nil && r.State == api.RolloutRunning {
		text := fmt.Sprintf("%d of %d slots, because of %s", r.Done, r.Total, r.Reason)
		if r.Queued {
			text += "; one more follows"
		}
		line("rollout", text)
	}
	line("next run", nextRun(a, time.Now()))
	for _, r := range []struct {
		name string
		*api.Release
	}{{"release", a.Release}, {"before", a.Previous}} {
		if r.Release == nil {
			continue
		}
		text := fmt.Sprintf("%s in %s", r.Program, r.Folder)
		if !r.Since.IsZero() {
			text += ", from " + r.Since.Local().Format(time.DateTime)
		}
		if r.Until != nil {
			text += " to " + r.Until.Local().Format(time.DateTime) + ": tine rollback " + a.Name + " returns to it"
		}
		if r.Rollback {
			text += ", by a rollback"
		}
		line(r.name, text)
		for _, note := range r.Unpinned {
			line("", note)
		}
	}
	line("restarts", fmt.Sprintf("%d (%d after a crash)", a.RestartsTotal, a.CrashesTotal))
	if term.Steered(a) {
		line("steering", a.Steering+", policy "+a.Policy)
	}
	for _, note := range a.SteeringNotes {
		line("", note)
	}
	if a.Refused > 0 {
		line("refused", term.Number(a.Refused)+" connections, while all slots were full")
	}
	line("master", fmt.Sprintf("%s, pid %d, up %s, tine %s", d.Master.Name, d.Master.PID, term.Seconds(d.Master.UptimeS), d.Master.Version))
	line("control", d.Master.Control)
	if len(a.Workers)+len(a.Standbys) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Bold, "workers"))
		workerTable(a).Write(s, 2)
	}
	if len(d.Events) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Bold, "events"))
		for _, e := range d.Events {
			fmt.Fprintf(s, "  %s\n", term.EventText(s, e))
		}
	}
	if len(d.Logs) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Bold, "log"))
		for _, l := range d.Logs {
			fmt.Fprintf(s, "  %s\n", term.LogText(s, l, false))
		}
	}
}
