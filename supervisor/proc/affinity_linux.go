package proc

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// bound runs fork on a thread that is bound to cpus, which a child inherits before its program begins: a Go runtime
// then counts one CPU from its start.
func bound(cpus []int, fork func()) {
	var before, set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if set.Count() == 0 || unix.SchedGetaffinity(0, &before) != nil {
		fork()
		return
	}
	runtime.LockOSThread()
	if unix.SchedSetaffinity(0, &set) == nil {
		defer func() {
			if unix.SchedSetaffinity(0, &before) == nil {
				runtime.UnlockOSThread()
			}
			// Else the thread stays locked, and ends with this goroutine.
		}()
	} else {
		defer runtime.UnlockOSThread()
	}
	fork()
}
