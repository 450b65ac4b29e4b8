package ipc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// segmentSeals make a memory file immutable for every process, its maker included.
const segmentSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

func createSegment() (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("tine", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 does not know the flag
		fd, err = unix.MemfdCreate("tine", flags)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	return fd, nil
}

func sealSegment(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, segmentSeals)
	return err
}

// verifySegment accepts only what can neither change nor shrink under a reader: a mapped file that shrinks kills its reader.
func verifySegment(fd int, n int64) error {
	if err := verifyFile(fd, n); err != nil {
		return err
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("descriptor is not a memory file: %w", err)
	}
	if seals&segmentSeals != segmentSeals {
		return fmt.Errorf("memory file has seals %#x, %#x are needed", seals, segmentSeals)
	}
	return nil
}

// mapFlags of a segment of n bytes. A small one is mapped with all its pages at once: each fault would cost more than
// the page. Private, because kernels before 6.7 refuse a shared mapping of a write-sealed file; pages that are not written
// are shared all the same.
func mapFlags(n int) int {
	if n <= populateMax {
		return unix.MAP_PRIVATE | unix.MAP_POPULATE
	}
	return unix.MAP_PRIVATE
}

const populateMax = 1 << 20
