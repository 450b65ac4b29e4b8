package supervisor

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control"
)

// TestEndedAppsStayEnded: an app that a person has stopped, and one that has done its work, are not started by the next
// master, whether the last one was killed or replaced.
func TestEndedAppsStayEnded(t *testing.T) {
	m := startKept(t, keptConfig)
	config := keptConfig + `
  idle:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: HOW}
    workers: 1
  job:
    command: [sh, -c, "echo run >>HOW-runs"]
    oneshot: true
`
	m.configure(config)
	st := m.await("ready", allAppsReady)
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	finished := func(st control.Status) bool { return stateOf(st, "job") == control.AppFinished }
	st = m.await("the job's end", finished)
	if err := m.do(control.Order{Verb: control.VerbStop, App: "idle"}); err != nil {
		t.Fatal(err)
	}
	asBefore := func(how string, st control.Status) {
		t.Helper()
		runs, err := os.ReadFile(m.dir + "/behaviour-runs")
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(runs), "run"); n != 1 || !finished(st) || stateOf(st, "idle") != control.AppStopped {
			t.Errorf("after %s: the job has run %d times and is %q, idle is %q", how, n, stateOf(st, "job"), stateOf(st, "idle"))
		}
	}
	settled := func(st control.Status) bool { return stateOf(st, "job") != "" && stateOf(st, "idle") != "" }
	st, _ = m.crash(st)
	asBefore("a crash", m.await("all apps", settled))
	m.configure(strings.Replace(config, "workers: 3", "workers: 2", 1))
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	other := func(st control.Status) bool { return settled(st) && len(onlyApp(st).Workers) == 2 }
	st, _ = m.crash(m.await("the other config", other))
	st = m.await("the other config, after a crash", other)
	asBefore("a crash with another config", st)
	st, _ = m.upgrade(st, os.Args[0])
	asBefore("an upgrade", m.await("all apps", settled))
	if err := m.do(control.Order{Verb: control.VerbStart, App: "idle"}); err != nil {
		t.Fatal(err)
	}
	m.await("idle again", func(st control.Status) bool { return stateOf(st, "idle") == control.AppRunning })
}

func stateOf(st control.Status, app string) string {
	for _, a := range st.Apps {
		if a.Name == app {
			return a.State
		}
	}
	return ""
}
