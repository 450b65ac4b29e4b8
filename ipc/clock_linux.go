package ipc

import "golang.org/x/sys/unix"

const monotonicClock = unix.CLOCK_MONOTONIC
