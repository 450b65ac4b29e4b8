package ipc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Dup duplicates f without touching the flags that all holders of the description share. It is for handing a borrowed
// file to Outbox.Send, which closes what it is given.
func Dup(f *os.File) (*os.File, error) {
	fd, err := fileDescriptor(f)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate %s: %w", f.Name(), err)
	}
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// verifyFile checks that fd is a readable regular file of n bytes.
func verifyFile(fd int, n int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("descriptor is not a regular file (mode %#o)", st.Mode)
	}
	if st.Size != n {
		return fmt.Errorf("file has %d bytes", st.Size)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if flags&unix.O_ACCMODE == unix.O_WRONLY {
		return fmt.Errorf("file cannot be read (flags %#x)", flags)
	}
	return nil
}
