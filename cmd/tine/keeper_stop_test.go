//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// counting prints numbered lines in each worker.
var counting = strings.Replace(twoWorkers, "listen:", `env: {MEMBER_COUNTS: "1"}
    listen:`, 1)

// TestStopAfterACrash: a stop reaches the keeper in the first moments after a master's crash: before it has seen that, and
// while another one is starting. The stop is in order, and no output of the workers is lost.
func TestStopAfterACrash(t *testing.T) {
	t.Parallel()
	for i := range rounds(10, 30) {
		m := startReady(t, counting, kept)
		m.await(says("is ready after")) // before that a crash is one of the start
		workers := values(m.workers(""))
		wait := time.Duration(rand.Int64N(int64(50 * time.Millisecond)))
		if i == 0 {
			wait = 0
		}
		if err := syscall.Kill(m.master(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait) // the test is about any moment
		m.signal(syscall.SIGTERM)
		m.ended(0)
		for _, pid := range workers {
			if err := m.counted(pid); err != nil {
				t.Errorf("round %d, a stop %s after the crash: %v", i, wait, err)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// counted returns an error unless each of the worker's numbered lines is in the log. A master that was killed may have written some that
// the next one wrote too.
func (m *tine) counted(pid int) error {
	m.mu.Lock()
	text := m.stdout.String()
	m.mu.Unlock()
	next, said := 1, 0
	for line := range strings.Lines(text) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.PID != pid {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(e.Message, "counted %d", &said); err == nil {
			continue
		}
		if _, err := fmt.Sscanf(e.Message, "count %d", &n); err != nil || n > next {
			return fmt.Errorf("worker %d: the line %q comes where %d is next", pid, e.Message, next)
		}
		next = max(next, n+1)
	}
	if said == 0 || said != next-1 {
		return fmt.Errorf("worker %d says that it has counted to %d, and %d lines are in the log", pid, said, next-1)
	}
	return nil
}

// TestStopInTheFirstMoments: as a container's, before there is a master and while it is starting.
func TestStopInTheFirstMoments(t *testing.T) {
	t.Parallel()
	for range 5 {
		m := startConfig(t, counting, kept)
		eventually.True(t, "a keeper has started a master", func() bool { return masterOf(m.pid) != 0 })
		time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))) // the test is about any moment
		m.signal(syscall.SIGTERM)
		m.ended(0)
	}
}

// TestStopInALongStart: it does not wait for workers that take long to be ready.
func TestStopInALongStart(t *testing.T) {
	t.Parallel()
	m := startConfig(t, strings.Replace(oneWorker, "listen:", `env: {MEMBER_START: "1h"}
    ready_timeout: 2h
    listen:`, 1), kept)
	m.await(is("spawned"))
	began := time.Now()
	m.signal(syscall.SIGTERM)
	m.ended(0)
	if took := time.Since(began); took > 10*time.Second { // with kill_after, on a loaded machine
		t.Errorf("the stop took %s", took)
	}
}

// TestUpgradedProgramComesBack: after an upgrade to a program at another path a crash brings that one back.
func TestUpgradedProgramComesBack(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	next := filepath.Join(m.dir, "next")
	err := os.Mkdir(next, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	program, err := part(next, "tine")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{program, tinePath} {
		out, _ := m.tell(0, "upgrade", "--binary", want)
		has(t, out, "2 workers untouched\n")
		st := m.mustStatus()
		if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "another master has the workers", func() bool {
			now, err := m.status()
			return err == nil && now.PID != st.PID && now.KeeperPID == m.pid && now.Apps[0].Ready == 2
		})
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.master())); err != nil || got != want {
			t.Errorf("the master that was brought back is %s, want %s (%v)", got, want, err)
		}
	}
	m.stop()
}
