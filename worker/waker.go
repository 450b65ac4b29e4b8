package worker

import (
	"errors"
	"sync/atomic"

	"github.com/tinehq/tine/ipc"
)

// waker tells the master of a connection when it rests. The kernel does not: a connection that is accepted at once is
// gone before the master could be woken by it.
//
// It only reads what the master has written: if it does not get to tell, since it is stopped or killed just then, the
// other workers tell of theirs.
type waker struct {
	asleep *atomic.Int64 // Header.Asleep
	tell   func() bool   // false: there was no room, but there may be next time
	told   atomic.Int64  // of which value of asleep the master was told
}

func newWaker(w *Worker, h *ipc.Header) *waker {
	return &waker{asleep: &h.Asleep, tell: func() bool { return !errors.Is(w.send(ipc.Wake{}), ipc.ErrFull) }}
}

// counted is called each time after a connection was counted.
func (w *waker) counted() {
	if at := w.asleep.Load(); at != 0 && at != w.told.Load() {
		w.wake(at)
	}
}

func (w *waker) wake(at int64) {
	if w.told.Swap(at) != at && !w.tell() {
		w.told.CompareAndSwap(at, 0)
	}
}
