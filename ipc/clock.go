package ipc

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock ties Go's monotonic clock to the system's: Monotonic is a time since base, plus offset.
var clock = newClock()

type sharedClock struct {
	base   time.Time
	offset int64 // the system's clock at base, in nanoseconds
}

// Monotonic returns the system's monotonic clock in nanoseconds: CLOCK_MONOTONIC on Linux, so that the values of all
// processes, and those of the kernel's bpf_ktime_get_ns, can be compared. It never goes back and never jumps with the wall
// clock, and it is greater than 0. It costs one read of Go's clock, no system call. In a time namespace with an offset it
// differs from the kernel's by that offset.
func Monotonic() int64 { return int64(time.Since(clock.base)) + clock.offset }

// newClock measures how far the two clocks are apart. Both count the same ticks, so once is enough; the shortest of several
// measurements is off by less than it took.
func newClock() sharedClock {
	c := sharedClock{base: time.Now()}
	best := time.Duration(-1)
	for range 8 {
		var ts unix.Timespec
		before := time.Since(c.base)
		if err := unix.ClockGettime(monotonicClock, &ts); err != nil {
			continue // a filter of system calls: the values are right within this process only
		}
		took := time.Since(c.base) - before
		if best < 0 || took < best {
			best, c.offset = took, ts.Nano()-int64(before+took/2)
		}
	}
	if best < 0 {
		c.offset = 1
	}
	return c
}
