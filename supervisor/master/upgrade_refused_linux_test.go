package master

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control"
)

// TestUpgradeWhileAWorkerIsStarted: who is about to be started is unknown to any other master, so that the upgrade is
// refused. The workers that there are go on talking to the one that they have.
func TestUpgradeWhileAWorkerIsStarted(t *testing.T) {
	m := startKept(t, keptConfig+`
    hooks: {before_start: {command: [sh, -c, "while [ -e HOW-hold ]; do sleep 0.05; done"], timeout: 1m}}
`)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	hold := m.dir + "/behaviour-hold"
	for _, name := range []string{hold, m.dir + "/binary"} {
		if err := os.WriteFile(name, []byte(os.Args[0]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rolled := make(chan error, 1)
	go func() { rolled <- m.do(control.Order{Verb: control.VerbReload, App: "web"}) }()
	m.await("a rollout", func(st control.Status) bool { return onlyApp(st).Rollout != nil })
	if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
		t.Fatal(err)
	}
	m.await("a refusal", func(control.Status) bool {
		return strings.Contains(m.log.String(), "workers have been about to be started for")
	})
	epoch, err := m.client.SetValue(bounded(t), "key", []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	m.await("the value with all workers of before", func(st control.Status) bool {
		have := 0
		for _, w := range onlyApp(st).Workers {
			for _, pid := range before {
				if w.PID == pid && w.Epoch >= epoch {
					have++
				}
			}
		}
		return have == len(before)
	})
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-rolled; err != nil {
		t.Error(err)
	}
}
