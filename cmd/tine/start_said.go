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
)

// maxWarnings bounds what start shows of the log.
const maxWarnings = 10

// started says what runs now, and what does not. It fails where an app was to run and does not. A one-shot app that fails
// fails nobody but those that depend on it: that it did is shown.
func started(cmd *cobra.Command, c *supervisor.Config, pid int, log string) error {
	said := func(pid int) string { return fmt.Sprintf("%s started: pid %d, log %s", c.Name, pid, log) }
	if c.Control == supervisor.ControlOff {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), said(pid))
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
	defer cancel()
	client := control.NewClient(c.Control)
	defer client.Close()
	st, err := client.Status(ctx)
	if err == nil {
		pid = foremost(st) // another than the one that was started, if that was killed meanwhile
	}
	text := said(pid)
	if err != nil {
		text += fmt.Sprintf("\nbut tine ls will not see it: %v (why is in the log)", err)
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

func startedApp(a control.App) string {
	switch {
	case a.OneShot && a.Error != "":
		return a.State + ": " + a.Error
	case a.OneShot:
		return a.State
	case a.State == control.AppWaiting:
		return a.Error
	}
	text := fmt.Sprintf("%d of %d ready", a.Ready, a.Desired)
	if len(a.Listen) > 0 {
		text += " on " + strings.Join(a.Listen, " ")
	}
	return text
}

// notStarted are the apps that do not run though they were to, each with why.
func notStarted(st control.Status) (lost []string) {
	for _, a := range st.Apps {
		if a.Failed && (!a.OneShot || a.State == control.AppWaiting) {
			lost = append(lost, a.Name+": "+a.Error)
		}
	}
	return lost
}

// warnOfStart tells what the person who starts it should know, and would find in the log only.
func warnOfStart(cmd *cobra.Command, c *supervisor.Config, st control.Status, logged []string) {
	s := term.NewScreen(cmd.ErrOrStderr())
	if c.Path() == "" { // the flags say what it is
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

// loggedWarnings are the master's own since its start; how the apps have failed the status tells. What cannot be read is not
// told: it is in the log.
func loggedWarnings(ctx context.Context, client *control.Client) (all []string) {
	_ = client.Logs(ctx, control.LogQuery{Stream: control.StreamMaster}, func(l control.LogLine) error {
		if l.Level == "warn" || l.Level == "error" && l.App == "" {
			all = append(all, l.Text)
		}
		return nil
	})
	return all
}
