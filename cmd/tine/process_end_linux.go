package main

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// endOf prepares to wait for the end of a process that is no child. It is to be
// called while the process surely runs, because a pid may be used again.
func endOf(pid int) func(context.Context) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return polled(pid)
	}
	return func(ctx context.Context) error {
		defer unix.Close(fd)
		for {
			// A pidfd can be read when the process has ended, a zombie too: pidfd_open(2).
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
