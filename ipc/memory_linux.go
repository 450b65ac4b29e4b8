package ipc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// memorySeals keep the size for good, and leave the content writable.
const memorySeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

func sealMemory(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, memorySeals)
	return err
}

// verifyMemory accepts a memory file of n bytes that cannot shrink, and an eBPF map where one is allowed.
func verifyMemory(fd int, n int64, ebpfMap bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if ebpfMap && st.Mode&unix.S_IFMT == 0 { // an anonymous inode, as eBPF maps have
		return nil
	}
	if err := verifyFile(fd, n); err != nil {
		return fmt.Errorf("%d bytes are needed: %w", n, err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("descriptor is not a memory file: %w", err)
	}
	if seals&unix.F_SEAL_SHRINK == 0 {
		return fmt.Errorf("memory file has seals %#x, it could shrink without F_SEAL_SHRINK", seals)
	}
	return nil
}
