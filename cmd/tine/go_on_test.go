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
	"github.com/tinehq/tine/supervisor/control/api"
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
		victim func(api.Status) int
		next   func(before, now api.Status) bool
	}{
		{"Master", func(st api.Status) int { return st.PID }, func(before, now api.Status) bool { return now.PID != before.PID }},
		{"Keeper", func(st api.Status) int { return st.KeeperPID }, func(before, now api.Status) bool { return now.KeeperPID == before.PID }},
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
	worker := func(id uint64, slot int, state string) api.Worker {
		return api.Worker{ID: id, Slot: slot, State: state}
	}
	old := api.App{Name: "web", State: api.AppRunning, Generation: 3, Desired: 2, Ready: 2,
		Workers: []api.Worker{worker(5, 0, "ready"), worker(6, 1, "ready")}}
	with := func(change func(*api.App)) api.App { a := old; change(&a); return a }
	for _, c := range []struct {
		name  string
		order api.Order
		now   api.App
		done  bool
		err   string // a part of the error; empty: none
	}{
		{"rolls", api.Order{Verb: api.VerbReload}, with(func(a *api.App) { a.Rollout = &api.Rollout{ID: 4, State: api.RolloutRunning} }), false, ""},
		{"rolled", api.Order{Verb: api.VerbReload}, with(func(a *api.App) { a.Generation = 4 }), true, ""},
		{"aborted", api.Order{Verb: api.VerbReload}, with(func(a *api.App) {
			a.Rollout = &api.Rollout{ID: 4, State: api.RolloutAborted, Error: "exit code 7"}
		}), false, "the old workers stay: exit code 7"},
		{"not rolled", api.Order{Verb: api.VerbReload}, old, false, "was not reloaded"},
		{"scaled", api.Order{Verb: api.VerbScale, N: 2}, old, true, ""},
		{"scales", api.Order{Verb: api.VerbScale, N: 1, By: true}, with(func(a *api.App) { a.Desired = 3 }), false, ""},
		{"not scaled", api.Order{Verb: api.VerbScale, N: 4}, old, false, "was not scaled, it has 2 workers"},
		{"stopped", api.Order{Verb: api.VerbStop}, with(func(a *api.App) { a.State = api.AppStopped }), true, ""},
		{"stops", api.Order{Verb: api.VerbStop}, with(func(a *api.App) { a.State = api.AppStopping }), false, ""},
		{"not stopped", api.Order{Verb: api.VerbStop}, old, false, "was not stopped"},
		{"started", api.Order{Verb: api.VerbStart}, old, true, ""},
		{"starts", api.Order{Verb: api.VerbStart}, with(func(a *api.App) { a.Ready = 1 }), false, ""},
		{"drained", api.Order{Verb: api.VerbDrain, Slot: &slot}, with(func(a *api.App) { a.Workers = []api.Worker{worker(5, 0, "ready"), worker(0, 1, "drained")} }), true, ""},
		{"not drained", api.Order{Verb: api.VerbDrain, Slot: &slot}, old, false, "slot 1 of app web was not drained"},
		{"restarted", api.Order{Verb: api.VerbRestart}, with(func(a *api.App) { a.Workers = []api.Worker{worker(7, 0, "ready"), worker(8, 1, "ready")} }), true, ""},
		{"stopped only", api.Order{Verb: api.VerbRestart}, with(func(a *api.App) { a.State = api.AppStopped }), false, "was not started again: tine start web"},
		{"signalled", api.Order{Verb: api.VerbSignal}, old, false, errUnknown.Error()},
	} {
		done, _, err := judge(c.order, api.Status{Apps: []api.App{old}}, api.Status{Apps: []api.App{c.now}})
		if done != c.done || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: over %v, %v; want %v, %q", c.name, done, err, c.done, c.err)
		}
	}
}
