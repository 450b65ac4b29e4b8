package master

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
)

// TestAppliedConfigOutlivesCrash: a config that changes nothing of any app is in the record too once it is applied, so that a
// crash does not undo it.
func TestAppliedConfigOutlivesCrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	if err := os.WriteFile(m.dir+"/behaviour-value", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.configure(keptConfig + "\ncache:\n  value: {file: HOW-value, every: 1h}\n")
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hasValue := func(st api.Status) bool { return len(st.Cache.Values) == 1 }
	m.await("the value", hasValue)
	m.crash(m.await("a loop that has come to rest since", hasValue))
	m.await("the config that was applied, and no other", func(st api.Status) bool { return hasValue(st) && st.Unapplied == "" })
}

// TestCrashInARestartBesideOneThatWaits: the next master opens an app that was being restarted on the sockets of the run that
// leaves, and one that waits for others on new ones. While an address of the latter is taken the former's run ends, and its
// sockets with it. The app is opened anew then, as no caller applies the config again.
func TestCrashInARestartBesideOneThatWaits(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	taken.Close()
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	over := m.dir + "/behaviour-over"
	t.Cleanup(func() { _ = os.WriteFile(over, nil, 0o600) })
	m.configure(keptConfig + `
    drain_timeout: 2m
    hooks: {before_drain: {command: [sh, -c, "until [ -e HOW-over ]; do sleep 0.01; done"], timeout: 1m}}
  runs: {command: [sh, -c, "until [ -e HOW-over ]; do sleep 0.01; done"], oneshot: true}
  late: {command: [PROGRAM], listen: ["` + address + `"], workers: 1, depends_on: {runs: exited}}
`)
	if _, err := m.client.Apply(bounded(t), api.ApplyRequest{}); err != nil {
		t.Fatal(err)
	}
	state := func(st api.Status, name string) string {
		for _, a := range st.Apps {
			if a.Name == name {
				return a.State
			}
		}
		return ""
	}
	m.await("the app that waits", func(st api.Status) bool { return state(st, "late") == api.AppWaiting })
	restarted := make(chan error, 1)
	go func() {
		restarted <- m.client.Do(bounded(t), api.Order{Verb: api.VerbRestart, App: "web"}, func(api.Progress) {})
	}()
	m.await("the restart", func(st api.Status) bool { return state(st, "web") == api.AppStopping })

	got := make(chan net.Listener, 1)
	go func() {
		for ctx := bounded(t); ctx.Err() == nil; {
			if l, err := net.Listen("tcp", address); err == nil {
				got <- l
				return
			}
		}
		close(got)
	}()
	m.crash(st)
	l := <-got
	if l == nil {
		t.Fatal("the address of the app that waits is not free after the end of its master")
	}
	m.await("the end of the run that leaves", func(st api.Status) bool { return state(st, "web") == "" })
	l.Close()
	m.await("all apps", func(st api.Status) bool {
		return state(st, "web") == api.AppRunning && state(st, "late") == api.AppWaiting && st.Unapplied == ""
	})
	<-restarted // it was cut
}
