package proc

import (
	"bytes"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sigkilled says whether SIGKILL ends, or has ended, a process that is not reaped. Who killed it, or the system for want
// of memory, does not matter.
//
// The last field of /proc/PID/stat that is a number of the process's own is its wait status (exit_code in proc_pid_stat(5)).
// It stands from the moment of the signal on, and stays 0 where this process may not see it.
func sigkilled(pid int) bool {
	var buf [1024]byte // fifty numbers
	var fd, n int
	var err error
	for {
		if fd, err = unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	for {
		if n, err = unix.Read(fd, buf[:]); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return false
	}
	status, ok := waitStatus(buf[:n])
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// waitStatus reads field 52. The second field is the program's name in parentheses, which may contain anything.
func waitStatus(stat []byte) (syscall.WaitStatus, bool) {
	const after = 2 // fields up to the name
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 52-after {
		return 0, false
	}
	n, err := strconv.ParseUint(string(fields[52-after-1]), 10, 32)
	return syscall.WaitStatus(n), err == nil
}
