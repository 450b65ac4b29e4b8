package estate

import (
	"slices"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/keeper"
)

func TestExitAmong(t *testing.T) {
	all := []keeper.Exit{{PID: 1, Start: 5, Status: 1}, {PID: 2, Start: 6, Status: 2}, {PID: 1, Start: 9, Status: 3}, {PID: 3, Status: 4}}
	for _, c := range []struct {
		pid    int
		start  uint64
		status syscall.WaitStatus
		known  bool
	}{{1, 5, 1, true}, {1, 9, 3, true}, {1, 0, 3, true}, {1, 7, 0, false}, {3, 8, 4, true}, {4, 0, 0, false}} {
		if got, known := exitAmong(slices.Clone(all), c.pid, c.start); got != c.status || known != c.known {
			t.Errorf("%d of %d: %d, %v; want %d, %v", c.pid, c.start, got, known, c.status, c.known)
		}
	}
}
