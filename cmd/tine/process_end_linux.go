package main

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// endOf returns a function that waits for the end of a process that is not a child of this one. Call endOf while the process
// runs for certain, because its PID may be used again.
func endOf(pid int) func(context.Context) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return polled(pid)
	}
	return func(ctx context.Context) error {
		defer unix.Close(fd)
		for {
			// A pidfd becomes readable when the process has ended, also as a zombie: pidfd_open(2).
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int((50 * time.Millisecond).Milliseconds()))
			switch {
			case n > 0:
				return nil
			case err != nil && err != unix.EINTR:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			}
		}
	}
}
