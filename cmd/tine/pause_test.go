//go:build linux

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// pause stops the master and all below it for so long, as a freezer does, in this order or the other.
func (m *tine) pause(d time.Duration, masterFirst bool) {
	m.t.Helper()
	all := m.processes()
	if masterFirst {
		for i, pid := range all {
			if pid == m.pid {
				all[0], all[i] = all[i], all[0]
			}
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, pid := range all {
			if err := syscall.Kill(pid, sig); err != nil {
				m.t.Error(err)
			}
		}
		if sig == syscall.SIGSTOP {
			<-time.After(d) // the test is about that time
		}
	}
}

// TestPauseInAStart: a worker that was stopped together with the master, for longer than it has to become ready, has its time.
func TestPauseInAStart(t *testing.T) {
	for name, masterFirst := range map[string]bool{"MasterFirst": true, "Others": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			gate := fifo(t, dir, "gate")
			write(t, dir, "tine.yaml", strings.Replace(oneWorker, "$FAST", "ready_timeout: 4s", 1))
			m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, withEnv("MEMBER_GATE="+gate))
			m.await(is("spawned"))
			m.pause(5*time.Second, masterFirst)
			m.await(is("this process has not run for a while: nobody is judged by that time"))
			openGate(t, gate)
			m.await(is("all workers are ready"))
			if late := m.since(0, is("ready timeout")); len(late) > 0 {
				t.Errorf("it was judged by the time of the pause: %s", late[0].Raw)
			}
			m.signal(syscall.SIGTERM)
			m.ended(0)
		})
	}
}

// TestPauseInADrain: a request in flight is answered, though the drain's time was over while all stood still.
func TestPauseInADrain(t *testing.T) {
	t.Parallel()
	m := startReady(t, strings.Replace(oneWorker, "$FAST", "drain_delay: 100ms\n    drain_timeout: 4s\n    kill_after: 1s", 1))
	answer := m.slow(t, 2500)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("draining"))
	m.pause(5*time.Second, true)
	if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
		t.Errorf("the request was cut: %v %q", err, text)
	}
	m.awaitFrom(mark, is("rollout done"))
	if late := m.since(mark, is("drain timeout")); len(late) > 0 {
		t.Errorf("it was judged by the time of the pause: %s", late[0].Raw)
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestPauseInAHook: a hook that stood still with the master is not killed for it.
func TestPauseInAHook(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	gate := fifo(t, dir, "gate")
	write(t, dir, "tine.yaml", strings.Replace(oneWorker, "$FAST", `hooks:
      before_start: {command: [/bin/sh, -c, ": <`+gate+`"], timeout: 4s}`, 1))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	eventually.True(t, "the hook runs", func() bool { return len(m.processes()) == 2 })
	m.pause(5*time.Second, true)
	openGate(t, gate)
	m.await(is("all workers are ready"))
	if late := m.since(0, is("hook failed")); len(late) > 0 {
		t.Errorf("it was judged by the time of the pause: %s", late[0].Raw)
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
}
