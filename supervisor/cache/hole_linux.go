package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// punchHole gives the memory of the whole pages between two offsets of a memory file back. They read as zeros.
func punchHole(f *os.File, from, to int64) {
	page := int64(os.Getpagesize())
	from, to = (from+page-1)/page*page, to/page*page
	if from >= to {
		return
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	})
}
