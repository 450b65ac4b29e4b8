package master

import (
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"golang.org/x/sys/unix"
)

// awaitExit waits until the process is over, whichever process is its parent.
func awaitExit(t *testing.T, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 20_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("the worker does not end: %d, %v", n, err)
		}
		return
	}
}

// A worker that gets SIGTERM leaves, and another takes its place, also where no master heard it say so: the one that it told
// died before it read that, and the next one finds a process that has ended with 0, as one that has finished does.
func TestWorkersThatLeaveUnheardAreReplaced(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	old := onlyApp(st).Workers
	freeze(t, st.PID)
	for _, w := range old {
		pidfd, err := unix.PidfdOpen(w.PID, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pidfd)
		if err := syscall.Kill(w.PID, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		awaitExit(t, pidfd)
	}
	m.crash(st)
	m.await("workers in the place of those that have left", func(st api.Status) bool {
		if len(st.Apps) != 1 || !allAppsReady(st) || len(onlyApp(st).Workers) != len(old) {
			return false
		}
		for i, w := range onlyApp(st).Workers {
			if w.PID == old[i].PID {
				return false
			}
		}
		return true
	})
}
