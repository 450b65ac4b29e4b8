package control

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A master at rest makes no garbage, so that its collector does not run for minutes, and what a large body took would
// stay its own. It is given back to the system a moment after the last of them was read.
var memory heap

const (
	largeBody  = 1 << 20 // bytes
	giveBackIn = 2 * time.Second
)

type heap struct{ due atomic.Bool }

func (h *heap) giveBack() {
	if h.due.Swap(true) {
		return
	}
	time.AfterFunc(giveBackIn, func() {
		h.due.Store(false)
		debug.FreeOSMemory()
	})
}
