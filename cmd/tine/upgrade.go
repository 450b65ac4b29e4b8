package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// upgradeTimeout bounds the wait until the new master is prepared; package handover bounds the steps after that. Tests
// shorten it.
var upgradeTimeout = 30 * time.Second

func newUpgrade() *cobra.Command {
	var o orders
	var binary string
	cmd := &cobra.Command{
		Use:        "upgrade",
		SuggestFor: []string{"update", "self-update"},
		Short:      "Replace tine itself by another version, with all workers as they are",
		Long: `Replace tine itself by another version, with all workers as they are: none is
restarted, no connection is refused. Without --binary it is the file that tine was started
from, as it is on disk now: rename the new version to that path, and run tine upgrade.

The new binary is tried first: its version, and the flags and environment of the tine that
runs. The new tine takes over the config that runs: edits of the file that were not applied
stay so. If the new tine cannot take over, for any reason, the old one runs on unchanged,
and the exit status is 1.

The new master is another process. Below a keeper, in a container too, and below systemd
that makes no difference. With --keeper=off the process that started tine sees it end with
status 0, and the new master is a child of init. As PID 1 without a keeper an upgrade is
refused, because all processes end with PID 1. The keeper itself is not replaced. It starts
a master that crashed again from the binary of the master that was in charge.`,
		Example: `  mv tine-1.5 /usr/local/bin/tine && tine upgrade
  tine upgrade --binary ./tine-1.5`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("binary") {
				path, err := filepath.Abs(binary)
				if err != nil {
					return fmt.Errorf("cannot upgrade to %s: %w", binary, err)
				}
				binary = path
			}
			return o.On(cmd.Context(), nil, func(r *target.Running) error { return o.upgrade(cmd, r, binary) })
		},
	}
	o.define(cmd, false)
	cmd.Flags().StringVar(&binary, "binary", "", "`PATH` of the new tine (default: the file that the running one was started from)")
	_ = cmd.MarkFlagFilename("binary")
	return cmd
}

// upgrade orders an upgrade, and prints which master is in charge after it.
func (o *orders) upgrade(cmd *cobra.Command, r *target.Running, binary string) error {
	began := time.Now()
	ended := func(context.Context) error { return nil }
	if _, _, err := commandLine(r.Seen.PID); err == nil { // else its PID is of another namespace, or there is no /proc
		ended = endOf(r.Seen.PID)
	}
	if err := o.give(cmd, r, []api.Order{{Verb: api.VerbUpgrade, Binary: binary}}, func(api.Order) string { return "" }); err != nil {
		return err
	}
	took := time.Since(began)
	ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
	defer cancel()
	r.Close() // the connections to the old master
	now, err := r.Status(ctx)
	if err != nil {
		return fmt.Errorf("upgraded, but the new master does not answer: %w", err)
	}
	// systemd sends a stop or a reload to the old master until that has ended. An end that takes long is not a failure.
	_ = ended(ctx)
	if o.json {
		return nil
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s upgraded from %s, pid %d, to %s, pid %d, in %d ms; %s\n",
		now.Name, r.Seen.Version, r.Seen.PID, now.Version, now.PID, took.Milliseconds(), tellSuccession(r.Seen, now))
	return err
}

// tellSuccession returns how many workers were adopted, and which were not, and why. A new master of a version that does not
// report it is judged by the PIDs of its workers.
func tellSuccession(before, now api.Status) string {
	s := now.Succession
	if s == nil || s.After != before.PID {
		same, gone := compareWorkers(before, now)
		text := term.Count(same, "worker") + " untouched"
		if gone > 0 {
			text += fmt.Sprintf(", %d replaced meanwhile", gone)
		}
		return text
	}
	text := term.Count(s.Adopted, "worker") + " untouched"
	if len(s.Replaced) > 0 {
		text += fmt.Sprintf(", %d not:", len(s.Replaced))
	}
	const some = 10
	for _, r := range s.Replaced[:min(len(s.Replaced), some)] {
		place := fmt.Sprintf("%s/%d", r.App, r.Slot)
		if r.Slot < 0 {
			place = r.App + ", standby"
		}
		text += fmt.Sprintf("\n  %s, worker %d: %s", place, r.Worker, r.Reason)
	}
	if more := len(s.Replaced) - some; more > 0 {
		text += fmt.Sprintf("\n  and %d more: see the log", more)
	}
	return text
}

// compareWorkers counts the workers of before that run now, and those that do not.
func compareWorkers(before, now api.Status) (same, gone int) {
	runs := map[int]bool{}
	each := func(st api.Status, f func(pid int)) {
		for _, a := range st.Apps {
			for _, all := range [][]api.Worker{a.Workers, a.Standbys} {
				for _, w := range all {
					if w.PID != 0 {
						f(w.PID)
					}
				}
			}
		}
	}
	each(now, func(pid int) { runs[pid] = true })
	each(before, func(pid int) {
		if runs[pid] {
			same++
		} else {
			gone++
		}
	})
	return same, gone
}

// ownBinary returns the path that this program was started from. Another file may be there now.
func ownBinary() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find the program of tine: %w", err)
	}
	return strings.TrimSuffix(path, " (deleted)"), nil
}
