package proc

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sigkilled reports whether SIGKILL ends, or has ended, a process that is not reaped, whether a process sent it or the system
// for want of memory.
//
// The last field of /proc/PID/stat that is a number of the process's own is its wait status (exit_code in proc_pid_stat(5)).
// It stands from the moment of the signal on, and stays 0 where this process may not see it.
func sigkilled(pid int) bool {
	stat, ok := readStat(pid)
	if !ok {
		return false
	}
	status, ok := waitStatus(stat)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// readStat reads /proc/PID/stat. The process may be reaped between the opening of the file and its reading, which fails then.
func readStat(pid int) ([]byte, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return text, err == nil
}

// zombieStatus is how a process has ended that its parent has not reaped yet. It is not known where this process may not see
// it: then the field is 0, as of one that has exited with 0, and so is the way to its program closed.
func (p *Process) zombieStatus() (syscall.WaitStatus, bool) {
	stat, ok := readStat(p.pid)
	if !ok || !isZombie(stat) {
		return 0, false
	}
	if !maySee(p.pid) {
		return 0, false
	}
	status, ok := waitStatus(stat)
	if !ok {
		return 0, false
	}
	pid, err := pidOf(p.pidfd) // the number was its own all the while
	return status, err == nil && pid == p.pid
}

// maySee reports whether this process may see what is a process's own. Tests put one in its place that may not.
var maySee = func(pid int) bool {
	var link [1]byte
	_, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/exe", link[:])
	return err == nil || err == unix.ENOENT
}

// statField returns field n, from 3 on, of /proc/PID/stat as proc_pid_stat(5) numbers them; nil: there is none. The second
// field is the program's name in parentheses, which may contain anything.
func statField(stat []byte, n int) []byte {
	const before = 2 // fields up to the name
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < n-before {
		return nil
	}
	return fields[n-before-1]
}

func isZombie(stat []byte) bool { return string(statField(stat, 3)) == "Z" }

func waitStatus(stat []byte) (syscall.WaitStatus, bool) {
	n, err := strconv.ParseUint(string(statField(stat, 52)), 10, 32)
	return syscall.WaitStatus(n), err == nil
}
