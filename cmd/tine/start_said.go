package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// maxWarnings is how many warnings of the log start shows.
const maxWarnings = 10

// started prints what runs now. It is an error if an app does not run that should. A one-shot app that failed is shown, and is
// an error only through the apps that depend on it.
func started(cmd *cobra.Command, c *supervisor.Config, pid int, log string) error {
	line := func(pid int) string { return fmt.Sprintf("%s started: pid %d, log %s", c.Name, pid, log) }
	if c.Control == supervisor.ControlOff {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), line(pid))
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
	defer cancel()
	client := control.NewClient(c.Control)
	defer client.Close()
	st, err := client.Status(ctx)
	if err == nil {
		pid = foremost(st) // another one if the first was killed
	}
	text := line(pid)
	if err != nil {
		text += fmt.Sprintf("\nbut tine ls will not see it: %v (the reason is in the log)", err)
	}
	for _, a := range st.Apps {
		text += fmt.Sprintf("\n%-10s %s", a.Name, startedApp(a))
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
		return err
	}
	if err == nil {
		warnOfStart(cmd, c, st, loggedWarnings(ctx, client))
	}
	if lost := notStarted(st); len(lost) > 0 {
		return &term.ExitError{Code: term.ExitFailed, Text: fmt.Sprintf("%s runs, but not all of it: %s (log %s)", c.Name, strings.Join(lost, "; "), log)}
	}
	return nil
}

func startedApp(a api.App) string {
	switch {
	case a.OneShot && a.Error != "":
		return a.State + ": " + a.Error
	case a.OneShot:
		return a.State
	case a.State == api.AppWaiting:
		return a.Error
	}
	text := fmt.Sprintf("%d of %d ready", a.Ready, a.Desired)
	if len(a.Listen) > 0 {
		text += " on " + strings.Join(a.Listen, " ")
	}
	return text
}

// notStarted returns the apps that should run and do not, each with the reason.
func notStarted(st api.Status) (lost []string) {
	for _, a := range st.Apps {
		if a.Failed && (!a.OneShot || a.State == api.AppWaiting) {
			lost = append(lost, a.Name+": "+a.Error)
		}
	}
	return lost
}

// warnOfStart prints the warnings that would otherwise be in the log only.
func warnOfStart(cmd *cobra.Command, c *supervisor.Config, st api.Status, logged []string) {
	s := term.NewScreen(cmd.ErrOrStderr())
	if c.Path() == "" { // the master was started with flags
		for _, a := range st.Apps {
			if len(a.Listen) == 0 && !a.OneShot {
				logged = append(logged, "nothing listens: no -l was given; for a service: tine start -l ADDRESS -- COMMAND")
			}
		}
	}
	more := len(logged) - maxWarnings
	for _, line := range logged[:min(len(logged), maxWarnings)] {
		fmt.Fprintln(s, "tine: warning: "+s.Harmless(line))
	}
	if more > 0 {
		fmt.Fprintf(s, "tine: and %d more warnings in the log\n", more)
	}
}

// loggedWarnings returns the warnings of the master itself, without those about a failed app, which is in the status. It
// ignores errors: the log has the lines too.
func loggedWarnings(ctx context.Context, client *control.Client) (all []string) {
	_ = client.Logs(ctx, api.LogQuery{Stream: api.StreamMaster}, func(l api.LogLine) error {
		if l.Level == "warn" || l.Level == "error" && l.App == "" {
			all = append(all, l.Text)
		}
		return nil
	})
	return all
}
