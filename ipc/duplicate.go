package ipc

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Control calls do with the descriptor of f, which stays open and keeps its number as long as do runs. It returns the error of
// do, or [os.ErrClosed] if f is closed. The method Fd of a file is no substitute: it may clear O_NONBLOCK on the open file
// description, for all processes that share it.
func Control(f syscall.Conn, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if raw.Control(func(fd uintptr) { failed = do(int(fd)) }) != nil {
		return os.ErrClosed
	}
	return failed
}

// Descriptor returns the number of f, without the effect of its method Fd. The number is f's as long as the caller keeps f
// open.
func Descriptor(f *os.File) (n int, err error) {
	err = Control(f, func(fd int) error {
		n = fd
		return nil
	})
	if err != nil {
		return -1, err
	}
	return n, nil
}

// DuplicateFD returns another descriptor of what fd is, which is closed on exec and numbered least or higher.
func DuplicateFD(fd, least int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, least)
	return n, os.NewSyscallError("fcntl", err)
}

// Duplicate returns another descriptor of what f is, of the same name, which is closed on exec and belongs to the caller. The
// mode of f stays as it is. The error is [os.ErrClosed] if f is closed, also meanwhile.
func Duplicate(f *os.File) (*os.File, error) {
	n := -1
	err := Control(f, func(fd int) (err error) {
		n, err = DuplicateFD(fd, 3)
		return err
	})
	if errors.Is(err, os.ErrClosed) {
		err = fmt.Errorf("cannot duplicate %s: %w", f.Name(), err)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}
