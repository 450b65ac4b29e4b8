package proc

import (
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes(pidfd *int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, PidFD: pidfd}
}

// keepInherited sets close-on-exec on every descriptor from 3 on, so that nothing that this process was itself started
// with (a lock of a shell script, a socket of systemd, a pipe of an upgrade) leaks into a worker. What a worker shall
// have is duplicated in the child, after this.
func keepInherited() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Before Linux 5.11.
	folder, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range folder {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
