package ipc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

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
