package ipc

import "golang.org/x/sys/unix"

// monotonicClock stands still while the machine sleeps, as Go's monotonic clock does here.
const monotonicClock = unix.CLOCK_UPTIME_RAW
