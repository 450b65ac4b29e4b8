//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control"
)

const gatedConfig = `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_GATE: "$DIR/gate"}
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
`

// startGated starts a master whose next workers wait at the FIFO that it returns.
func startGated(t *testing.T) (m *tine, gate string) {
	t.Helper()
	m = startReady(t, gatedConfig, kept)
	return m, fifo(t, m.dir, "gate")
}

// TestReloadGoesOn: a reload whose master, or whose keeper, is killed is waited for on the master that follows. No master answers
// while one becomes the keeper.
func TestReloadGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		victim func(control.Status) int
		next   func(before, now control.Status) bool
	}{
		{"Master", func(st control.Status) int { return st.PID }, func(before, now control.Status) bool { return now.PID != before.PID }},
		{"Keeper", func(st control.Status) int { return st.KeeperPID }, func(before, now control.Status) bool { return now.KeeperPID == before.PID }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, gate := startGated(t)
			before := m.mustStatus()
			mark := m.mark()
			cmd, out, stderr := m.command("reload")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			m.awaitFrom(mark, is("rollout begin"))
			eventually.True(t, "the new worker is there", func() bool { return len(m.processes()) == 5 })
			syscall.Kill(c.victim(before), syscall.SIGKILL)
			eventually.True(t, "another master is in charge", func() bool {
				st, err := m.status()
				return err == nil && c.next(before, st) && st.Apps[0].Rollout != nil
			})
			openGate(t, gate)
			if err := cmd.Wait(); err != nil {
				t.Fatalf("reload: %v\n%s%s", err, out, stderr)
			}
			has(t, out.String(), "goes on below another master, pid ", "web reloaded\n")
			for _, pid := range workerPIDs(m.mustStatus()) {
				if slices.Contains(workerPIDs(before), pid) {
					t.Errorf("worker %d has survived the reload", pid)
				}
			}
			m.tell(0, "stop")
			m.allGone()
		})
	}
}

// TestAskedWhileNoMasterLives: a command that runs just when a master has died gets the answer of the next one.
func TestAskedWhileNoMasterLives(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	for range 3 {
		first := m.mustStatus().PID
		syscall.Kill(first, syscall.SIGKILL)
		out, _ := m.tell(0, "status")
		has(t, out, fmt.Sprintf("(keeper %d)", m.pid), "2 of 2 ready")
		if strings.Contains(out, fmt.Sprintf("pid %d ", first)) {
			t.Errorf("the dead one has answered: %s", out)
		}
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
	if _, err := os.Lstat(filepath.Join(m.dir, "control", "tine.sock")); err == nil {
		t.Error("the socket is left")
	}
	m.tell(3, "status")
}

// TestJudge: what the next status shows of an order that another master has carried on.
func TestJudge(t *testing.T) {
	slot := 1
	worker := func(id uint64, slot int, state string) control.Worker {
		return control.Worker{ID: id, Slot: slot, State: state}
	}
	old := control.App{Name: "web", State: control.AppRunning, Generation: 3, Desired: 2, Ready: 2,
		Workers: []control.Worker{worker(5, 0, "ready"), worker(6, 1, "ready")}}
	with := func(change func(*control.App)) control.App { a := old; change(&a); return a }
	for _, c := range []struct {
		name  string
		order control.Order
		now   control.App
		done  bool
		err   string // a part of the error; empty: none
	}{
		{"rolls", control.Order{Verb: control.VerbReload}, with(func(a *control.App) { a.Rollout = &control.Rollout{ID: 4, State: control.RolloutRunning} }), false, ""},
		{"rolled", control.Order{Verb: control.VerbReload}, with(func(a *control.App) { a.Generation = 4 }), true, ""},
		{"aborted", control.Order{Verb: control.VerbReload}, with(func(a *control.App) {
			a.Rollout = &control.Rollout{ID: 4, State: control.RolloutAborted, Error: "exit code 7"}
		}), false, "the old workers stay: exit code 7"},
		{"not rolled", control.Order{Verb: control.VerbReload}, old, false, "was not reloaded"},
		{"scaled", control.Order{Verb: control.VerbScale, N: 2}, old, true, ""},
		{"scales", control.Order{Verb: control.VerbScale, N: 1, By: true}, with(func(a *control.App) { a.Desired = 3 }), false, ""},
		{"not scaled", control.Order{Verb: control.VerbScale, N: 4}, old, false, "was not scaled, it has 2 workers"},
		{"stopped", control.Order{Verb: control.VerbStop}, with(func(a *control.App) { a.State = control.AppStopped }), true, ""},
		{"stops", control.Order{Verb: control.VerbStop}, with(func(a *control.App) { a.State = control.AppStopping }), false, ""},
		{"not stopped", control.Order{Verb: control.VerbStop}, old, false, "was not stopped"},
		{"started", control.Order{Verb: control.VerbStart}, old, true, ""},
		{"starts", control.Order{Verb: control.VerbStart}, with(func(a *control.App) { a.Ready = 1 }), false, ""},
		{"drained", control.Order{Verb: control.VerbDrain, Slot: &slot}, with(func(a *control.App) { a.Workers = []control.Worker{worker(5, 0, "ready"), worker(0, 1, "drained")} }), true, ""},
		{"not drained", control.Order{Verb: control.VerbDrain, Slot: &slot}, old, false, "slot 1 of app web was not drained"},
		{"restarted", control.Order{Verb: control.VerbRestart}, with(func(a *control.App) { a.Workers = []control.Worker{worker(7, 0, "ready"), worker(8, 1, "ready")} }), true, ""},
		{"stopped only", control.Order{Verb: control.VerbRestart}, with(func(a *control.App) { a.State = control.AppStopped }), false, "was not started again: tine start web"},
		{"signalled", control.Order{Verb: control.VerbSignal}, old, false, errUnknown.Error()},
	} {
		done, _, err := judge(c.order, control.Status{Apps: []control.App{old}}, control.Status{Apps: []control.App{c.now}})
		if done != c.done || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: over %v, %v; want %v, %q", c.name, done, err, c.done, c.err)
		}
	}
}
