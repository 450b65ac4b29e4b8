package master

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/above"
	"github.com/tinehq/tine/supervisor/snapshot"

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

// TestStandStillIsNoHang: a watchdog that has less patience than an upgrade takes hears of this master meanwhile.
func TestStandStillIsNoHang(t *testing.T) {
	told := make(chan string, 1)
	l := &loop{s: &Supervisor{}}
	l.s.published.Publish(&snapshot.Master{})
	l.report = above.Open(func(state ...string) error {
		select {
		case told <- strings.Join(state, " "):
		default:
		}
		return nil
	}, func(error) {}, time.Millisecond, time.Now())
	defer l.report.Close(false)
	result, over := make(chan error), make(chan error)
	go func() { over <- l.standStill(result) }()
	late := bounded(t)
	for range 3 {
		select {
		case said := <-told:
			if !strings.HasPrefix(said, "WATCHDOG=1") && said != "STATUS=starting" {
				t.Errorf("it tells %q", said)
			}
		case <-late.Done():
			t.Fatal("it tells nothing")
		}
	}
	want := errors.New("it hangs")
	result <- want
	if err := <-over; err != want {
		t.Error(err)
	}
}
