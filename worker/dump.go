package worker

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/tinehq/tine/ipc"
)

// dumpMethod is the call by which the master asks a worker that does not get on what it is doing. Methods that begin
// with "tine." belong to Tine.
const dumpMethod = "tine.dump"

// maxDump is the most that a dump tells, in bytes: some ten thousand goroutines.
const maxDump = 8 << 20

// dump answers with the stacks of all goroutines. It runs beside everything: not in the order of the callbacks, which
// may be what hangs, and not in the goroutine that reads the channel.
func (w *Worker) dump(f call) {
	ipc.Discard(f.Call)
	if !w.dumping.CompareAndSwap(false, true) {
		w.reply(f, func() (any, error) { return nil, errors.New("a dump is being made already") })
		return
	}
	go func() {
		b := stacks(maxDump)
		w.dumping.Store(false) // a caller that has this answer may ask again
		w.reply(f, func() (any, error) { return b, nil })
	}()
}

// stacks returns the stacks of all goroutines, as a panic prints them, cut off at most bytes.
func stacks(most int) []byte {
	for size := min(256<<10, most); ; size = min(4*size, most) {
		b := make([]byte, size)
		n := runtime.Stack(b, true)
		if n < size {
			return b[:n]
		}
		if size == most {
			return fmt.Appendf(b, "\n... cut off at %d bytes; there are %d goroutines\n", most, runtime.NumGoroutine())
		}
	}
}
