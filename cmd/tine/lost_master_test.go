//go:build linux

package main

import (
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// loseMaster kills the master, and lets the keeper start none.
func loseMaster(t *testing.T, m *tine) (allow func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(m.pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		if err := unix.Prlimit(m.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(20) // it can still answer, but not give a master its files
	if err := syscall.Kill(masterOf(m.pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.await(says("starting another in 400ms"))
	return func() { limit(old.Cur) }
}

// TestCommandsWithoutAMaster: they print what the keeper is doing, and wait for a master that it starts; a stop stops the keeper.
func TestCommandsWithoutAMaster(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers, kept)
	allow := loseMaster(t, m)
	_, text := m.tell(term.ExitNotRunning, "status")
	has(t, text, "the master of ", "failed ", " times (cannot execute ", fmt.Sprintf("the keeper (pid %d)", m.pid))
	allow()
	m.tell(0, "status")
	loseMaster(t, m)
	m.tell(0, "stop")
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}
