package tickets

import (
	"context"
	"errors"
	"time"

	"github.com/tinehq/tine/ipc"
)

// ErrNoWait answers Wait where the system has no futex.
var ErrNoWait = errors.New("this system has no futex: a row that gets free is not told to other processes")

const (
	// waitMost bounds one Wait: who waits looks at the members once in a while, whatever happens.
	waitMost = time.Second
	// armed is for how long a waiter is known to those who free rows.
	armed = 2 * waitMost
)

// Arm says that the caller is about to wait for a free row of any slot. It looks for one itself once more after Arm, and then gives the
// result to Wait.
func (b *Book) Arm() (seen uint32) {
	h := b.head()
	until := ipc.Monotonic() + int64(armed)
	for {
		before := h.waited.Load()
		if before >= until && before <= until+int64(armed) || h.waited.CompareAndSwap(before, until) {
			return h.freed.Load()
		}
	}
}

// Wait waits until a row was freed since Arm, at most for a second. It returns nil then, and now and then without a reason: the caller
// looks for a row, and begins again with Arm. When ctx ends it returns its error. It takes a thread of the system as long as it waits.
// Where the system has no futex it returns [ErrNoWait] at once.
func (b *Book) Wait(ctx context.Context, seen uint32) error {
	h := b.head()
	stop := context.AfterFunc(ctx, func() {
		h.freed.Add(1)
		futexWake(&h.freed)
	})
	defer stop()
	if err := futexWait(&h.freed, seen, waitMost); err != nil {
		return err
	}
	return ctx.Err()
}

// Watch calls freed now, and whenever a row of any slot may have become free, until ctx ends. It takes a thread of the system meanwhile.
// Where the system has no futex it returns [ErrNoWait] after the first call.
func (b *Book) Watch(ctx context.Context, freed func()) error {
	for {
		seen := b.Arm()
		freed()
		if err := b.Wait(ctx, seen); err != nil {
			return err
		}
	}
}

// tell wakes all who wait for a free row. It costs a read where nobody does.
func (b *Book) tell() {
	h := b.head()
	until := h.waited.Load()
	if until == 0 {
		return
	}
	if now := ipc.Monotonic(); now > until || until-now > 2*int64(armed) {
		h.waited.CompareAndSwap(until, 0) // those who waited have gone
	}
	h.freed.Add(1)
	futexWake(&h.freed)
}
