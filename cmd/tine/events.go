package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

func newEvents() *cobra.Command {
	var asJSON, follow bool
	var t *target
	last := lines(recent * 2)
	cmd := &cobra.Command{
		Use:   "events [APP]",
		Short: "Show what happened: starts, exits, rollouts, changed values",
		Long: `Show what happened: starts, exits, rollouts, changed values. A master keeps the
newest 4,096 events.`,
		Example: `  tine events -f
  tine events web -n all --json | jq 'select(.kind=="exited")'`,
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
			apps, err := appsOrAll(r.status, t.app)
			if err != nil {
				return err
			}
			s := newScreen(cmd.OutOrStdout())
			show := func(e control.Event) error {
				if asJSON {
					return printLine(s, e)
				}
				_, err := fmt.Fprintln(s, eventText(s, e))
				return err
			}
			wanted := func(e control.Event) bool { return apps == nil || apps[e.App] || e.Missed > 0 }
			var after uint64
			var kept []control.Event
			ctx, cancel := context.WithTimeout(cmd.Context(), answerTimeout)
			err = r.Events(ctx, 0, false, func(e control.Event) error {
				after = e.ID
				if wanted(e) {
					if kept = append(kept, e); last >= 0 && len(kept) > int(last) {
						kept = kept[1:]
					}
				}
				return nil
			})
			cancel()
			if err != nil {
				return fmt.Errorf("cannot read the events: %w", err)
			}
			for _, e := range kept {
				if err := show(e); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return followed(cmd, r, func(next bool) error {
				if next {
					after = 0
				}
				return r.Events(cmd.Context(), after, true, func(e control.Event) error {
					if !wanted(e) {
						return nil
					}
					return show(e)
				})
			})
		},
	}
	t = addTarget(cmd, true)
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what happens, until Ctrl-C or the end of tine")
	flags.VarP(&last, "last", "n", "the newest so many, or all")
	flags.BoolVar(&asJSON, "json", false, "print one JSON document a line")
	return cmd
}

// followed reads a stream that goes on until its master ends, and then all that the next one has, if another comes. The
// end of the last one is no error.
func followed(cmd *cobra.Command, r *running, read func(next bool) error) error {
	pid := r.status.PID
	for next := false; ; next = true {
		err := read(next)
		r.Close() // the connections to the old one
		ctx, cancel := context.WithTimeout(cmd.Context(), answerTimeout)
		now, gone := r.Status(ctx)
		cancel()
		if gone != nil || now.PID == pid {
			if err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "tine has ended")
			}
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "the master, pid %d, has ended; pid %d goes on\n", pid, now.PID)
		pid = now.PID
	}
}

// appsOrAll is the set of the apps that a name means, nil for all of the master.
func appsOrAll(st control.Status, name string) (map[string]bool, error) {
	apps, err := chosen(st, name)
	if err != nil || name == "" || name == allApps {
		return nil, err
	}
	set := map[string]bool{}
	for _, a := range apps {
		set[a.Name] = true
	}
	return set, nil
}

// where names what a line or event is about: web/2, web, or tine itself.
func where(app string, slot *int) string {
	switch {
	case app == "":
		return "tine"
	case slot == nil:
		return app
	case *slot < 0:
		return app + "/standby"
	}
	return fmt.Sprintf("%s/%d", app, *slot)
}

// eventText is an event in one line, or more where it has last words.
func eventText(s screen, e control.Event) string {
	if e.Kind == control.EventMissed {
		return s.paint(yellow, fmt.Sprintf("(%d events are missing here)", e.Missed))
	}
	var rest []string
	say := func(format string, args ...any) { rest = append(rest, fmt.Sprintf(format, args...)) }
	if e.PID != 0 {
		say("pid %d", e.PID)
	}
	switch {
	case e.Signal != "":
		say("by %s", e.Signal)
	case e.Code != 0:
		say("with %d", e.Code)
	}
	if e.Reason != "" {
		say("%s", s.harmless(strings.TrimPrefix(e.Reason, e.Kind+": ")))
	}
	if e.Message != "" && e.PID == 0 && e.Reason == "" { // else it says the same
		say("%s", s.harmless(e.Message))
	}
	if e.TookMS > 0 {
		say("after %s", milliseconds(e.TookMS))
	}
	if e.DelayMS > 0 {
		say("next attempt in %s", milliseconds(e.DelayMS))
	}
	if e.Failures > 1 {
		say("%d failures in a row", e.Failures)
	}
	kind := s.paint(levelColour(e.Level), e.Kind)
	text := fmt.Sprintf("%s  %-10s %s", s.paint(dim, e.Time.Local().Format("15:04:05.000")), where(e.App, e.Slot), kind)
	if len(rest) > 0 {
		text += ": " + strings.Join(rest, ", ")
	}
	if e.LastWords != "" {
		for _, line := range strings.Split(strings.TrimRight(e.LastWords, "\n"), "\n") {
			text += "\n              | " + s.harmless(line)
		}
	}
	return text
}

func levelColour(level string) colour {
	switch level {
	case "warn":
		return yellow
	case "error", "fatal":
		return red
	}
	return plain
}
