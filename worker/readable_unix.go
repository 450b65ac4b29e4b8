//go:build unix

package worker

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// readable reports whether a connection waits in the queue of ln.
func readable(ln net.Listener) bool {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	ready := false
	// An error means that ln is closed: no more is accepted from it.
	_ = rc.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		ready = err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
	})
	return ready
}
