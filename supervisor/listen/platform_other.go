//go:build !linux

package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// pollHangup is what a socket reports whose reading side was shut down: here nothing but POLLHUP.
const pollHangup = unix.POLLHUP

// balances: elsewhere the last socket of a group gets all connections, so that slots share one.
const balances = false

func replace(from, to int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	err := unix.Dup2(from, to)
	if err == nil {
		unix.CloseOnExec(to)
	}
	return err
}

func backlog() int { return unix.SOMAXCONN }

func tcpQueue(fd int) (int, error) { return pollQueue(fd) }

func multipath(int) bool { return false }

func dropFilter(int) {}
