package wake

import (
	"context"
	"time"
)

// Heartbeat is how often a process looks at the clock while it waits for another one that has a time to do something in. A shorter
// pause of the process itself may go unnoticed, and be taken for the other one's time.
const Heartbeat = time.Second

// WithRunTime is context.WithTimeout, but counts only time in which this process runs: after a pause of the process (SIGSTOP,
// a suspended machine) the hook still has the rest of its time. At the timeout the cause is context.DeadlineExceeded. The
// caller must call cancel.
func WithRunTime(ctx context.Context, left time.Duration) (_ context.Context, cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for left > 0 {
			asked, began := min(left, Heartbeat), time.Now()
			timer.Reset(asked)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			if took := time.Since(began); took <= asked+lateness {
				left -= took
			} else {
				left -= asked
			}
		}
		end(context.DeadlineExceeded)
	}()
	return ctx, func() { end(context.Canceled) }
}
