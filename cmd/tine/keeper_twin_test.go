//go:build linux

package main

import (
	"strings"
	"syscall"
	"testing"
)

// toBoth sends what kill $(pidof tine) does.
func (m *tine) toBoth(sig syscall.Signal) {
	m.t.Helper()
	st := m.mustStatus()
	for _, pid := range []int{st.PID, st.KeeperPID} {
		if err := syscall.Kill(pid, sig); err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestSignalToKeeperAndMaster: a signal that is sent to all that is called tine counts once: one rollout, and a stop that is
// graceful.
func TestSignalToKeeperAndMaster(t *testing.T) {
	t.Parallel()
	m := startReady(t, strings.Replace(oneWorker, "drain_timeout: 5s", "drain_timeout: 60s", 1), kept)
	mark := m.mark()
	m.toBoth(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout done"))
	st := m.mustStatus()
	if g := st.Apps[0].Generation; g != 2 || st.Apps[0].Rollout != nil {
		t.Errorf("generation %d after one signal, rollout %v", g, st.Apps[0].Rollout)
	}
	mark = m.mark()
	m.signal(syscall.SIGUSR2) // the next one is another
	m.awaitFrom(mark, is("rollout done"))
	if g := m.mustStatus().Apps[0].Generation; g != 3 {
		t.Errorf("generation %d after the next signal", g)
	}
	answer := m.slow(t, 300)
	m.toBoth(syscall.SIGTERM)
	if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
		t.Errorf("the stop has cut a request: %v %q", err, text)
	}
	m.ended(0)
}
