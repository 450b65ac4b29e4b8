package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
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

// entry is a master in the JSON of ls: its status document and its control socket.
type entry struct {
	Control string `json:"control"`         // path of its socket
	Error   string `json:"error,omitempty"` // why it did not answer
	*api.Status
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
		return slices.ContainsFunc(c.Seen.Apps, func(a api.App) bool { return a.NextRun != nil })
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

// readyOf returns how many workers are ready of how many; "-" for an app that has finished.
func readyOf(a api.App) string {
	if a.State == api.AppFinished {
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
			var gateways map[string]api.Gateway
			if !asJSON {
				gateways = gatewaysShown(cmd, r)
			}
			return answer(cmd, asJSON, r.Seen, func(s term.Screen) { printStatus(s, r.Seen, gateways) })
		}),
	}
	t.Define(cmd, true)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status document")
	return cmd
}

func printStatus(s term.Screen, st api.Status, gateways map[string]api.Gateway) {
	processes := strconv.Itoa(st.PID)
	if st.KeeperPID != 0 {
		processes += fmt.Sprintf(" (keeper %d)", st.KeeperPID)
	}
	fmt.Fprintf(s, "%s  pid %s, up %s, tine %s\n", s.Paint(term.Bold, st.Name), processes, term.Seconds(st.UptimeS), st.Version)
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
		if held := paused(a, time.Now()); held != "" {
			fmt.Fprintln(s, s.Paint(term.Yellow, held))
		}
		if next := nextRun(a, time.Now()); next != "" {
			fmt.Fprintln(s, "next run "+next)
		}
		if g, ok := gateways[a.Name]; ok {
			fmt.Fprintln(s, s.Paint(term.GatewayColour(g), "gateway: "+term.GatewayText(g)))
		}
		if len(a.Workers)+len(a.Standbys) > 0 {
			workerTable(a).Write(s, 0)
		}
	}
	if n := len(st.Cache.Values); n > 0 {
		fmt.Fprintf(s, "\n%s, epoch %d: tine cache list\n", term.Count(n, "cached value"), st.Cache.Epoch)
	}
}

// appTrouble returns what is wrong with an app, in one line; empty: nothing.
func appTrouble(a api.App) string {
	switch {
	case a.Error != "":
		return a.Error
	case a.Rollout != nil && a.Rollout.State == api.RolloutAborted:
		return fmt.Sprintf("the last rollout (%s) was aborted: %s", a.Rollout.Reason, a.Rollout.Error)
	}
	return ""
}

// paused says how long gateways hold the requests to an app; empty: they do not.
func paused(a api.App, now time.Time) string {
	p := a.Paused
	if p == nil {
		return ""
	}
	text := "paused for " + term.Seconds(max(now.Sub(p.Since), 0).Seconds())
	if p.Until == nil {
		text += ", until tine resume"
	} else {
		text += ", for " + term.Seconds(max(p.Until.Sub(now), 0).Seconds()) + " more"
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text + ". Gateways hold requests to it"
}

// nextRun returns when an app's schedule is due, in the time zone of the schedule; empty: it has none.
func nextRun(a api.App, now time.Time) string {
	if a.NextRun == nil {
		return ""
	}
	return a.NextRun.Format("Mon 2006-01-02 15:04:05 -07:00") + ", in " + term.Seconds(max(a.NextRun.Sub(now), 0).Seconds())
}

func workerTable(a api.App) *term.Table {
	t := term.NewTable(
		term.Right("SLOT", 0), term.Right("PID", 0), term.Left("STATE", 0), term.Right("GEN", 8), term.Right("RESTARTS", 5), term.Right("UPTIME", 4),
		term.Right("CPU", 0), term.Right("MEMORY", 0), term.Right("BUSY", 3), term.Right("CONNS", 9), term.Right("REQUESTS", 2), term.Right("ERRORS", 6),
		term.Right("P50", 7), term.Right("P99", 1), term.Right("EPOCH", 10), term.Left("LAST EXIT", 11))
	for _, w := range append(append([]api.Worker{}, a.Workers...), a.Standbys...) {
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
