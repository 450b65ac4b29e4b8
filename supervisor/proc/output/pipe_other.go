//go:build !linux

package output

import (
	"os"
	"syscall"
)

// Pipe makes a pipe whose read end is in the runtime's poller. The write end, a descriptor that the caller owns, stays
// blocking: a program that printed faster than it is read would otherwise see EAGAIN. Both are closed on exec.
func Pipe() (r *os.File, w int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	err = syscall.Pipe(fds[:])
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, err
	}
	return Pollable(fds[0]), fds[1], nil
}
