package ipc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Duplicate returns another descriptor of what f is, of the same name, which is closed on exec and belongs to the caller. The
// mode of f stays as it is, which its Fd might change for all who share it. The error is [os.ErrClosed] if f is closed, also
// meanwhile.
func Duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	n := -1
	if raw.Control(func(fd uintptr) { n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }) != nil {
		return nil, fmt.Errorf("cannot duplicate %s: %w", f.Name(), os.ErrClosed)
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}
