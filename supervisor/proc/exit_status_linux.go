package proc

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pidfdInfo is struct pidfd_info of linux/pidfd.h in its first form, of 64 bytes.
type pidfdInfo struct {
	mask     uint64
	cgroupid uint64
	ids      [11]uint32
	exitCode int32
}

// exitStatus asks the system how a process ended that another process has reaped: Linux 6.15. Tests put an older one in its
// place.
var exitStatus = func(pidfd int) (status syscall.WaitStatus, known bool) {
	info := pidfdInfo{mask: pidfdInfoExit}
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
		if errno == unix.EINTR {
			continue
		}
		return syscall.WaitStatus(info.exitCode), errno == 0 && info.mask&pidfdInfoExit != 0
	}
}
