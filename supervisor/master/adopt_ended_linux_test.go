package master

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/supervisor/control/api"
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
	finished := func(st api.Status) bool { return stateOf(st, "job") == api.AppFinished }
	st = m.await("the job's end", finished)
	if err := m.do(api.Order{Verb: api.VerbStop, App: "idle"}); err != nil {
		t.Fatal(err)
	}
	asBefore := func(how string, st api.Status) {
		t.Helper()
		runs, err := os.ReadFile(m.dir + "/behaviour-runs")
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(runs), "run"); n != 1 || !finished(st) || stateOf(st, "idle") != api.AppStopped {
			t.Errorf("after %s: the job has run %d times and is %q, idle is %q", how, n, stateOf(st, "job"), stateOf(st, "idle"))
		}
	}
	settled := func(st api.Status) bool { return stateOf(st, "job") != "" && stateOf(st, "idle") != "" }
	st, _ = m.crash(st)
	asBefore("a crash", m.await("all apps", settled))
	m.configure(strings.Replace(config, "workers: 3", "workers: 2", 1))
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	other := func(st api.Status) bool { return settled(st) && len(onlyApp(st).Workers) == 2 }
	st, _ = m.crash(m.await("the other config", other))
	st = m.await("the other config, after a crash", other)
	asBefore("a crash with another config", st)
	st, _ = m.upgrade(st, os.Args[0])
	asBefore("an upgrade", m.await("all apps", settled))
	if err := m.do(api.Order{Verb: api.VerbStart, App: "idle"}); err != nil {
		t.Fatal(err)
	}
	m.await("idle again", func(st api.Status) bool { return stateOf(st, "idle") == api.AppRunning })
}

func stateOf(st api.Status, app string) string {
	for _, a := range st.Apps {
		if a.Name == app {
			return a.State
		}
	}
	return ""
}

// TestWaitingAppsAreStartedInTheEnd: an app that waits for another is started when that has come about, also below a master
// that came meanwhile: after a crash the keeper has its sockets, in an upgrade the old master too, until it has ended.
func TestWaitingAppsAreStartedInTheEnd(t *testing.T) {
	for _, how := range []string{"crash", "upgrade"} {
		t.Run(how, func(t *testing.T) {
			address := unusedAddress(t)
			m := makeKept(t)
			finish := filepath.Join(m.dir, "finish")
			if err := unix.Mkfifo(finish, 0o600); err != nil {
				t.Fatal(err)
			}
			m.start(keptConfig)
			m.configure(keptConfig + `
  first:
    command: [sh, -c, "read line <HOW-finish"]
    oneshot: true
  late:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: HOW}
    workers: 1
    listen: [` + address + `, "unix:HOW-late.sock"]
    depends_on: {first: exited}
`)
			if err := os.Rename(finish, m.dir+"/behaviour-finish"); err != nil {
				t.Fatal(err)
			}
			st := m.await("ready", allAppsReady)
			if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			waits := func(st api.Status) bool {
				for _, a := range st.Apps { // with a process that the next master knows: two would share the pipe
					if a.Name == "first" && (len(a.Workers) != 1 || a.Workers[0].PID == 0) {
						return false
					}
				}
				return stateOf(st, "late") == api.AppWaiting
			}
			st = m.await("the app that waits", waits)
			if how == "crash" {
				m.crash(st)
			} else {
				m.upgrade(st, os.Args[0])
			}
			m.await("the app that waits, below the next master", waits)
			if err := os.WriteFile(m.dir+"/behaviour-finish", []byte("\n"), 0); err != nil {
				t.Fatal(err)
			}
			m.await("the app that waited", func(st api.Status) bool { return stateOf(st, "late") == api.AppRunning && allAppsReady(st) })
			for network, address := range map[string]string{"tcp": address, "unix": m.dir + "/behaviour-late.sock"} {
				c, err := net.Dial(network, address)
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestWhyAnAppGaveUpOutlivesACrash: the next master still says why an app gave up, also when the app gave up a moment before the
// crash and for the second time.
func TestWhyAnAppGaveUpOutlivesACrash(t *testing.T) {
	m := startKept(t, keptConfig)
	m.configure(keptConfig + `
  bad:
    command: [sh, -c, "exit 3"]
    oneshot: true
    start_limit: 1
`)
	st := m.await("ready", allAppsReady)
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	why := func(st api.Status) string {
		for _, a := range st.Apps {
			if a.Name == "bad" && a.State == api.AppGaveUp {
				return a.Error
			}
		}
		return ""
	}
	told := func(st api.Status) bool { return why(st) != "" }
	m.await("the first end", told)
	if err := m.do(api.Order{Verb: api.VerbStart, App: "bad"}); err == nil {
		t.Error("the second run has not failed")
	}
	st = m.await("the second end", told)
	now, _ := m.crash(st)
	if why(now) != why(st) {
		t.Errorf("before the crash it gave up because of %q, after it because of %q", why(st), why(now))
	}
}
