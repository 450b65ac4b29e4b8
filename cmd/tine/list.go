package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

func newList() *cobra.Command {
	var asJSON bool
	var t *target
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
			all, err := t.candidates(cmd.Context())
			var none *exitError
			if errors.As(err, &none) && !asJSON {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", none.text)
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
			if asJSON {
				return printJSON(cmd.OutOrStdout(), listed(all))
			}
			s := newScreen(cmd.OutOrStdout())
			listTable(all).write(s, 0)
			return s.failed()
		},
	}
	t = addTarget(cmd, false)
	t.every = true
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list with the status document of each master")
	return cmd
}

// entry is a master in the JSON of ls: its status document and where it listens.
type entry struct {
	Control string `json:"control"`         // path of its socket
	Error   string `json:"error,omitempty"` // why it did not answer
	*control.Status
}

func listed(all []*candidate) []entry {
	out := []entry{}
	for _, c := range all {
		e := entry{Control: c.instance.Path, Status: &c.status}
		if c.err != nil {
			e.Status, e.Error = nil, c.err.Error()
		}
		out = append(out, e)
	}
	return out
}

func listTable(all []*candidate) *table {
	t := &table{columns: []column{
		{"MASTER", false, 0}, {"APP", false, 0}, {"STATE", false, 0}, {"READY", true, 0}, {"RESTARTS", true, 5},
		{"CPU", true, 3}, {"MEMORY", true, 2}, {"UPTIME", true, 4}, {"GENERATION", true, 7}, {"NAMESPACE", false, 8}, {"LISTEN", false, 6},
	}}
	scheduled := slices.ContainsFunc(all, func(c *candidate) bool {
		return slices.ContainsFunc(c.status.Apps, func(a control.App) bool { return a.NextRun != nil })
	})
	if scheduled {
		t.columns = append(t.columns, column{"NEXT RUN", false, 9})
	}
	now := time.Now()
	for _, c := range all {
		if c.err != nil {
			row := []any{c.instance.Name, "-", cell{"no answer", red}}
			for range t.columns[len(row):] {
				row = append(row, "-")
			}
			t.add(row...)
			continue
		}
		for _, a := range c.status.Apps {
			var cpu float64
			var rss int64
			for _, w := range append(a.Workers, a.Standbys...) {
				cpu += w.CPUPercent
				rss += w.RSSBytes
			}
			row := []any{c.instance.Name, a.Name, appState(a), readyOf(a), a.RestartsTotal,
				fmt.Sprintf("%.0f%%", cpu), memory(rss), seconds(c.status.UptimeS), a.Generation, dash(a.Namespace), dash(strings.Join(a.Listen, " "))}
			if scheduled {
				row = append(row, dash(nextRun(a, now)))
			}
			t.add(row...)
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

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func appState(a control.App) cell {
	switch {
	case a.Rollout != nil && a.Rollout.State == control.RolloutRunning:
		return cell{fmt.Sprintf("reloading %d/%d", a.Rollout.Done, a.Rollout.Total), yellow}
	case a.Failed, a.State == control.AppGaveUp:
		return cell{a.State, red}
	case a.State == control.AppRunning && len(a.Unreachable) > 0:
		return cell{"unreachable", red}
	case a.State == control.AppRunning && a.Ready >= a.Desired:
		return cell{a.State, green}
	case a.State == control.AppRunning:
		return cell{a.State, yellow}
	}
	return cell{a.State, dim}
}

func workerState(w control.Worker) cell {
	switch {
	case w.Stalled != "":
		return cell{w.State + ", stalled", red}
	case w.Unkept:
		return cell{w.State + ", not kept", red}
	case w.State == "ready":
		return cell{w.State, green}
	case w.State == "backoff", w.State == "killing":
		return cell{w.State, red}
	case w.State == "gone", w.State == "vacant", w.State == "drained", w.State == "finished":
		return cell{w.State, dim}
	}
	return cell{w.State, yellow}
}

func newStatus() *cobra.Command {
	var asJSON bool
	var t *target
	cmd := &cobra.Command{
		Use:   "status [APP]",
		Short: "Show the apps of a master and their workers",
		Example: `  tine status
  tine status web
  tine status --json | jq '.apps[0].ready'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.named(args); err != nil {
				return err
			}
			r, err := t.find(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			apps, err := chosen(r.status, t.app)
			if err != nil {
				return err
			}
			r.status.Apps = apps
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r.status)
			}
			s := newScreen(cmd.OutOrStdout())
			printStatus(s, r.status)
			return s.failed()
		},
	}
	t = addTarget(cmd, true)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status document")
	return cmd
}

// isSteered says whether an app has connections that are steered.
func isSteered(a control.App) bool { return a.Steering != "" && a.Steering != control.SteeringNone }

func printStatus(s screen, st control.Status) {
	fmt.Fprintf(s, "%s  pid %s, up %s, tine %s\n", s.paint(bold, st.Name), aboveWorkers(st), seconds(st.UptimeS), st.Version)
	if st.Unapplied != "" {
		fmt.Fprintln(s, s.paint(yellow, st.Unapplied))
	}
	if st.Unkept != "" {
		fmt.Fprintln(s, s.paint(red, st.Unkept))
	}
	for _, a := range st.Apps {
		state := appState(a)
		line := fmt.Sprintf("%s  %s, %d of %d ready, generation %d", s.paint(bold, a.Name), s.paint(state.colour, state.text), a.Ready, a.Desired, a.Generation)
		if len(a.Listen) > 0 {
			line += ", on " + strings.Join(a.Listen, " ")
		}
		if isSteered(a) {
			line += ", " + a.Steering + " " + a.Policy
		}
		fmt.Fprintf(s, "\n%s\n", line)
		if why := appTrouble(a); why != "" {
			fmt.Fprintln(s, s.paint(red, why))
		}
		if next := nextRun(a, time.Now()); next != "" {
			fmt.Fprintln(s, "next run "+next)
		}
		if len(a.Workers)+len(a.Standbys) > 0 {
			workerTable(a).write(s, 0)
		}
	}
	if n := len(st.Cache.Values); n > 0 {
		fmt.Fprintf(s, "\n%s, epoch %d: tine cache list\n", count(n, "cached value"), st.Cache.Epoch)
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
	return a.NextRun.Format("Mon 2006-01-02 15:04:05 -07:00") + ", in " + seconds(max(a.NextRun.Sub(now), 0).Seconds())
}

func workerTable(a control.App) *table {
	t := &table{columns: []column{
		{"SLOT", true, 0}, {"PID", true, 0}, {"STATE", false, 0}, {"GEN", true, 8}, {"RESTARTS", true, 5}, {"UPTIME", true, 4},
		{"CPU", true, 0}, {"MEMORY", true, 0}, {"BUSY", true, 3}, {"CONNS", true, 9}, {"REQUESTS", true, 2}, {"ERRORS", true, 6},
		{"P50", true, 7}, {"P99", true, 1}, {"EPOCH", true, 10}, {"LAST EXIT", false, 11},
	}}
	for _, w := range append(append([]control.Worker{}, a.Workers...), a.Standbys...) {
		slot := fmt.Sprint(w.Slot)
		if w.Slot < 0 {
			slot = "standby"
		}
		if w.PID == 0 {
			t.add(slot, "-", workerState(w), "-", w.Restarts, "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", dash(w.LastExit))
			continue
		}
		errors := cell{number(w.Errors), plain}
		if w.Errors > 0 {
			errors.colour = red
		}
		t.add(slot, w.PID, workerState(w), w.Generation, w.Restarts, seconds(w.UptimeS),
			fmt.Sprintf("%.0f%%", w.CPUPercent), memory(w.RSSBytes), w.InFlight, w.Connections, number(w.Requests), errors,
			milliseconds(w.P50MS), milliseconds(w.P99MS), w.Epoch, dash(w.LastExit))
	}
	return t
}

// recent bounds the events and lines that describe shows.
const recent = 10

func newDescribe() *cobra.Command {
	var asJSON bool
	var t *target
	cmd := &cobra.Command{
		Use:     "describe [APP]",
		Aliases: []string{"show", "inspect", "info", "desc"},
		Short:   "Show everything about one app",
		Example: `  tine describe web
  tine describe web --json | jq .app.rollout`,
		Args:              arguments(0, 1),
		ValidArgsFunction: completeApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.named(args); err != nil {
				return err
			}
			r, err := t.find(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			app, err := r.single(t.app, "describe")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), answerTimeout)
			defer cancel()
			d := description{App: app, Events: []control.Event{}, Logs: []control.LogLine{}}
			d.Master.Name, d.Master.PID, d.Master.Version = r.status.Name, r.status.PID, r.status.Version
			d.Master.UptimeS, d.Master.Control = r.status.UptimeS, r.Path()
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
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d)
			}
			s := newScreen(cmd.OutOrStdout())
			d.print(s)
			return s.failed()
		},
	}
	t = addTarget(cmd, true)
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

func (d description) print(s screen) {
	a := d.App
	state := appState(a)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(s, "%s%s\n", s.paint(bold, fmt.Sprintf("%-12s", name)), value)
		}
	}
	line("app", a.Name)
	line("namespace", a.Namespace)
	line("state", s.paint(state.colour, state.text))
	line("", s.paint(red, appTrouble(a)))
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
	if isSteered(a) {
		line("steering", a.Steering+", policy "+a.Policy)
	}
	for _, note := range a.SteeringNotes {
		line("", note)
	}
	if a.Refused > 0 {
		line("refused", number(a.Refused)+" connections, while all slots were full")
	}
	line("master", fmt.Sprintf("%s, pid %d, up %s, tine %s", d.Master.Name, d.Master.PID, seconds(d.Master.UptimeS), d.Master.Version))
	line("control", d.Master.Control)
	if len(a.Workers)+len(a.Standbys) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.paint(bold, "workers"))
		workerTable(a).write(s, 2)
	}
	if len(d.Events) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.paint(bold, "events"))
		for _, e := range d.Events {
			fmt.Fprintf(s, "  %s\n", eventText(s, e))
		}
	}
	if len(d.Logs) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.paint(bold, "log"))
		for _, l := range d.Logs {
			fmt.Fprintf(s, "  %s\n", logText(s, l, false))
		}
	}
}
