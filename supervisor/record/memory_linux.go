package record

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memory returns an empty file in memory, which lives as long as any process has it open. It is closed by exec; the name is for
// people only.
func Memory(name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 does not know the flag
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make the memory file %s: %w", name, os.NewSyscallError("memfd_create", err))
	}
	return os.NewFile(uintptr(fd), name), nil
}
