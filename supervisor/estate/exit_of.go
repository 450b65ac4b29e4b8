package estate

import (
	"context"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/keeper"
)

// exitsTimeout bounds the wait for the keeper's answer.
const exitsTimeout = 2 * time.Second

// exitOf is for a kernel that does not tell how the child of another process has ended (before Linux 6.15): the keeper, which has
// reaped it, remembers. nil: there is no keeper. It and what it returns may be called by any goroutine.
func (e *Estate) exitOf(pid int) handle.ExitOf {
	reaper, ok := e.store.(interface {
		Exits(context.Context) ([]keeper.Exit, error)
	})
	if !ok {
		return nil
	}
	start, _ := keeper.StartTime(pid) // 0: it has been reaped already
	return func() (syscall.WaitStatus, bool) {
		ctx, cancel := context.WithTimeout(context.Background(), exitsTimeout)
		defer cancel()
		all, err := reaper.Exits(ctx)
		if err != nil {
			return 0, false // its code is not known, as without a keeper
		}
		return exitAmong(all, pid, start)
	}
}

// exitAmong finds the newest that fits: a PID may come again.
func exitAmong(all []keeper.Exit, pid int, start uint64) (status syscall.WaitStatus, known bool) {
	for _, e := range all { // the oldest first
		if e.PID == pid && (start == 0 || e.Start == 0 || e.Start == start) {
			status, known = e.Status, true
		}
	}
	return status, known
}
