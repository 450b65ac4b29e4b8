//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// succeeded waits until the master of st has become the keeper, and another serves below it.
func (m *tine) succeeded(st api.Status) (now api.Status) {
	m.t.Helper()
	eventually.True(m.t, "the master is the keeper of another one", func() (ok bool) {
		var err error
		now, err = m.status()
		return err == nil && now.KeeperPID == st.PID && now.PID != st.PID && now.Apps[0].Ready == st.Apps[0].Ready
	})
	return now
}

// allGone waits until no process of the test is left. They are not children of this process, so that it polls.
func (m *tine) allGone() {
	m.t.Helper()
	eventually.True(m.t, "no process is left", func() bool { return len(m.processes()) == 0 })
}

// blockedIn are the signals that no thread of the process takes.
func blockedIn(t *testing.T, pid int) uint64 {
	t.Helper()
	blocked := ^uint64(0)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range threads {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if mask, ok := strings.CutPrefix(line, "SigBlk:"); ok {
				n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				blocked &= n
			}
		}
	}
	return blocked
}

// TestKeeperDies: the keeper is killed under load, again and again. The master becomes the keeper, and the next one goes on
// with the same workers. No request is lost, and signals to the new processes do what they did before.
func TestKeeperDies(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st := m.mustStatus()
	before := m.workers("")
	l := m.steadily(8)
	for range 3 {
		if err := syscall.Kill(st.KeeperPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		next := m.succeeded(st)
		if now := m.workers(""); !maps.Equal(now, before) {
			t.Fatalf("workers are %v, were %v", now, before)
		}
		if got := childrenOf(next.KeeperPID); len(got) != 1+len(before) && st.KeeperPID == m.pid {
			t.Errorf("children of the new keeper are %v: want the master and the workers", got)
		}
		if mask := blockedIn(t, next.PID); mask != 0 {
			t.Errorf("the master has signals blocked: %x", mask)
		}
		st = next
	}
	if n := len(m.since(0, func(e event) bool { return strings.HasPrefix(e.Message, "the keeper has ended") })); n != 3 {
		t.Errorf("%d lines tell of the end of a keeper, want 3", n)
	}
	for _, pid := range []int{st.KeeperPID, st.PID} {
		mark := m.mark()
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		m.awaitFrom(mark, is("rollout done"))
	}
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil { // the new keeper starts a master again, as the old one did
		t.Fatal(err)
	}
	eventually.True(t, "another master", func() bool {
		now, err := m.status()
		return err == nil && now.PID != st.PID && now.KeeperPID == st.KeeperPID && now.Apps[0].Ready == 2
	})
	l.lossless(t)
	if err := syscall.Kill(st.KeeperPID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.allGone()
}

// TestKeeperDiesInARollout: the next master goes on with it.
func TestKeeperDiesInARollout(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st, before := m.mustStatus(), m.workers("")
	l := m.steadily(8)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("ready"))
	if err := syscall.Kill(st.KeeperPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	st = m.succeeded(st)
	m.awaitFrom(mark, is("rollout done"))
	l.lossless(t)
	for slot, pid := range m.workers("") {
		if before[slot] == pid {
			t.Errorf("slot %d was not rolled", slot)
		}
	}
	syscall.Kill(st.KeeperPID, syscall.SIGTERM)
	m.allGone()
}

// TestKeeperDiesInAStop: the master goes on stopping, and nothing is started.
func TestKeeperDiesInAStop(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneWorker, kept)
	answer := m.slow(t, 300)
	mark := m.mark()
	m.signal(syscall.SIGTERM)
	m.awaitFrom(mark, is("stopping"))
	m.signal(syscall.SIGKILL)
	if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
		t.Errorf("a request was cut: %v %q", err, text)
	}
	m.allGone()
}

// TestKeeperAndMasterDie: killed at once, they leave workers without a master. Those serve on, or drain, as they
// were made.
func TestKeeperAndMasterDie(t *testing.T) {
	t.Parallel()
	for name, grace := range map[string]string{"ServeOn": "", "Drain": "1ms"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoWorkers, kept, withEnv("MEMBER_ORPHAN_GRACE="+grace))
			st, workers := m.mustStatus(), values(m.workers(""))
			address := m.address()
			answer := m.slow(t, 300)
			if err := syscall.Kill(st.PID, syscall.SIGSTOP); err != nil { // so that it cannot become a keeper in between
				t.Fatal(err)
			}
			for _, pid := range []int{st.KeeperPID, st.PID} {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
				t.Errorf("a request was cut: %v %q", err, text)
			}
			if grace == "" {
				eventually.True(t, "only the workers are left", func() bool { return len(m.processes()) == len(workers) })
				if _, err := fetch(fresh, "http://"+address+"/"); err != nil {
					t.Error(err)
				}
				for _, pid := range workers {
					syscall.Kill(pid, syscall.SIGTERM)
				}
			}
			m.allGone()
		})
	}
}
