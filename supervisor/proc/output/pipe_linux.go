package output

import (
	"os"
	"syscall"
)

// Pipe makes a pipe whose read end is in the runtime's poller. The write end, a descriptor that the caller owns, stays
// blocking: a program that printed faster than it is read would otherwise see EAGAIN. Both are closed on exec.
func Pipe() (r *os.File, w int, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	return Pollable(fds[0]), fds[1], nil
}
