package ipc

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pair makes a channel: the master's end, and the file that becomes the worker's descriptor. The caller closes child
// after the worker has been started; the end of the worker is seen only then.
func Pair() (parent *Conn, child *os.File, err error) {
	own, child, err := streamPair("channel of the master", "channel of the worker")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a channel: %w", err)
	}
	parent, err = newConn(own)
	own.Close() // newConn duplicated it
	if err != nil {
		child.Close()
		return nil, nil, fmt.Errorf("cannot make a channel: %w", err)
	}
	parent.most = maxWorkerFDs
	return parent, child, nil
}

// streamPair is two connected sockets that no child inherits unasked.
func streamPair(name, peer string) (own, other *os.File, err error) {
	// The lock keeps a fork at the same time from inheriting the two, where they cannot be made close-on-exec at once.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), peer), nil
}
