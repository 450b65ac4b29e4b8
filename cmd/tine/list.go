package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

func newList() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:        "ls",
		Aliases:    []string{"list", "ps"},
		SuggestFor: []string{"jlist", "prettylist"},
		Short:      "List the apps of all masters",
		Long: `List the apps of all masters of this user, one a line. The exit status is 0, also
where there is none.`,
		Example: `  tine ls
  tine ls --json | jq '.[].apps[].name'`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := t.Candidates(cmd.Context())
			var none *term.ExitError
			if errors.As(err, &none) && !asJSON {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", none.Text)
				return nil
			}
			if err != nil && none == nil {
				return err
			}
			defer func() {
				for _, c := range all {
					c.Close()
				}
			}()
			return answer(cmd, asJSON, listed(all), func(s term.Screen) { listTable(all).Write(s, 0) })
		},
	}
	t.Define(cmd, false)
	t.Every = true
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list with the status document of each master")
	return cmd
}

// entry is a master in the JSON of ls: its status document and where it listens.
type entry struct {
	Control string `json:"control"`         // path of its socket
	Error   string `json:"error,omitempty"` // why it did not answer
	*control.Status
}

func listed(all []*target.Candidate) []entry {
	out := []entry{}
	for _, c := range all {
		e := entry{Control: c.Instance.Path, Status: &c.Seen}
		if c.Err != nil {
			e.Status, e.Error = nil, c.Err.Error()
		}
		out = append(out, e)
	}
	return out
}

func listTable(all []*target.Candidate) *term.Table {
	columns := []term.Column{
		term.Left("MASTER", 0), term.Left("APP", 0), term.Left("STATE", 0), term.Right("READY", 0), term.Right("RESTARTS", 5),
		term.Right("CPU", 3), term.Right("MEMORY", 2), term.Right("UPTIME", 4), term.Right("GENERATION", 7), term.Left("NAMESPACE", 8), term.Left("LISTEN", 6),
	}
	scheduled := slices.ContainsFunc(all, func(c *target.Candidate) bool {
		return slices.ContainsFunc(c.Seen.Apps, func(a control.App) bool { return a.NextRun != nil })
	})
	if scheduled {
		columns = append(columns, term.Left("NEXT RUN", 9))
	}
	t := term.NewTable(columns...)
	now := time.Now()
	for _, c := range all {
		if c.Err != nil {
			t.Add(c.Instance.Name, "-", term.Red.Cell("no answer"))
			continue
		}
		for _, a := range c.Seen.Apps {
			var cpu float64
			var rss int64
			for _, w := range append(a.Workers, a.Standbys...) {
				cpu += w.CPUPercent
				rss += w.RSSBytes
			}
			row := []any{c.Instance.Name, a.Name, term.AppState(a), readyOf(a), a.RestartsTotal,
				fmt.Sprintf("%.0f%%", cpu), term.Memory(rss), term.Seconds(c.Seen.UptimeS), a.Generation, term.Dash(a.Namespace), term.Dash(strings.Join(a.Listen, " "))}
			if scheduled {
				row = append(row, term.Dash(nextRun(a, now)))
			}
			t.Add(row...)
		}
	}
	return t
}

// readyOf is - for an app that is through: nothing of it is to be ready.
func readyOf(a control.App) string {
	if a.State == control.AppFinished {
		return "-"
	}
	return fmt.Sprintf("%d/%d", a.Ready, a.Desired)
}

func newStatus() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:   "status [APP]",
		Short: "Show the apps of a master and their workers",
		Example: `  tine status
  tine status web
  tine status --json | jq '.apps[0].ready'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: t.Run(func(cmd *cobra.Command, r *target.Running) error {
			apps, err := target.Chosen(r.Seen, t.App)
			if err != nil {
				return err
			}
			r.Seen.Apps = apps
			return answer(cmd, asJSON, r.Seen, func(s term.Screen) { printStatus(s, r.Seen) })
		}),
	}
	t.Define(cmd, true)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status document")
	return cmd
}

func printStatus(s term.Screen, st control.Status) {
	fmt.Fprintf(s, "%s  pid %s, up %s, tine %s\n", s.Paint(term.Bold, st.Name), aboveWorkers(st), term.Seconds(st.UptimeS), st.Version)
	if st.Unapplied != "" {
		fmt.Fprintln(s, s.Paint(term.Yellow, st.Unapplied))
	}
	if st.Unkept != "" {
		fmt.Fprintln(s, s.Paint(term.Red, st.Unkept))
	}
	for _, a := range st.Apps {
		state := term.AppState(a)
		line := fmt.Sprintf("%s  %s, %d of %d ready, generation %d", s.Paint(term.Bold, a.Name), s.Paint(state.Colour, state.Text), a.Ready, a.Desired, a.Generation)
		if len(a.Listen) > 0 {
			line += ", on " + strings.Join(a.Listen, " ")
		}
		if term.Steered(a) {
			line += ", " + a.Steering + " " + a.Policy
		}
		fmt.Fprintf(s, "\n%s\n", line)
		if why := appTrouble(a); why != "" {
			fmt.Fprintln(s, s.Paint(term.Red, why))
		}
		if next := nextRun(a, time.Now()); next != "" {
			fmt.Fprintln(s, "next run "+next)
		}
		if len(a.Workers)+len(a.Standbys) > 0 {
			workerTable(a).Write(s, 0)
		}
	}
	if n := len(st.Cache.Values); n > 0 {
		fmt.Fprintf(s, "\n%s, epoch %d: tine cache list\n", term.Count(n, "cached value"), st.Cache.Epoch)
	}
}

// appTrouble is what is wrong with an app, in one line.
func appTrouble(a control.App) string {
	switch {
	case a.Error != "":
		return a.Error
	case a.Rollout != nil && a.Rollout.State == control.RolloutAborted:
		return fmt.Sprintf("the last rollout (%s) was aborted: %s", a.Rollout.Reason, a.Rollout.Error)
	}
	return ""
}

// nextRun is when an app's schedule is due, by the clock that the schedule goes by; "": it has none.
func nextRun(a control.App, now time.Time) string {
	if a.NextRun == nil {
		return ""
	}
	return a.NextRun.Format("Mon 2006-01-02 15:04:05 -07:00") + ", in " + term.Seconds(max(a.NextRun.Sub(now), 0).Seconds())
}

func workerTable(a control.App) *term.Table {
	t := term.NewTable(
		term.Right("SLOT", 0), term.Right("PID", 0), term.Left("STATE", 0), term.Right("GEN", 8), term.Right("RESTARTS", 5), term.Right("UPTIME", 4),
		term.Right("CPU", 0), term.Right("MEMORY", 0), term.Right("BUSY", 3), term.Right("CONNS", 9), term.Right("REQUESTS", 2), term.Right("ERRORS", 6),
		term.Right("P50", 7), term.Right("P99", 1), term.Right("EPOCH", 10), term.Left("LAST EXIT", 11))
	for _, w := range append(append([]control.Worker{}, a.Workers...), a.Standbys...) {
		slot := fmt.Sprint(w.Slot)
		if w.Slot < 0 {
			slot = "standby"
		}
		if w.PID == 0 {
			t.Add(slot, "-", term.WorkerState(w), "-", w.Restarts, "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", term.Dash(w.LastExit))
			continue
		}
		errors := term.Plain.Cell(term.Number(w.Errors))
		if w.Errors > 0 {
			errors.Colour = term.Red
		}
		t.Add(slot, w.PID, term.WorkerState(w), w.Generation, w.Restarts, term.Seconds(w.UptimeS),
			fmt.Sprintf("%.0f%%", w.CPUPercent), term.Memory(w.RSSBytes), w.InFlight, w.Connections, term.Number(w.Requests), errors,
			term.Milliseconds(w.P50MS), term.Milliseconds(w.P99MS), w.Epoch, term.Dash(w.LastExit))
	}
	return t
}

// recent bounds the events and lines that describe shows.
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
			d := description{App: app, Events: []control.Event{}, Logs: []control.LogLine{}}
			d.Master.Name, d.Master.PID, d.Master.Version = r.Seen.Name, r.Seen.PID, r.Seen.Version
			d.Master.UptimeS, d.Master.Control = r.Seen.UptimeS, r.Path()
			err = r.Events(ctx, 0, false, func(e control.Event) error {
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
			err = r.Logs(ctx, control.LogQuery{App: app.Name, Last: recent}, func(l control.LogLine) error {
				d.Logs = append(d.Logs, l)
				return nil
			})
			if err != nil {
				return fmt.Errorf("cannot read the log of %s: %w", app.Name, err)
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
	App    control.App       `json:"app"`
	Events []control.Event   `json:"events"` // the newest
	Logs   []control.LogLine `json:"logs"`   // the newest
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
	line("ready", fmt.Sprintf("%d of %d", a.Ready, a.Desired))
	line("listen", strings.Join(a.Listen, " "))
	line("generation", fmt.Sprint(a.Generation))
	if r := a.Rollout; r != nil && r.State == control.RolloutRunning {
		text := fmt.Sprintf("%d of %d slots, because of %s", r.Done, r.Total, r.Reason)
		if r.Queued {
			text += "; one more follows"
		}
		line("rollout", text)
	}
	line("next run", nextRun(a, time.Now()))
	for _, r := range []struct {
		name string
		*control.Release
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
