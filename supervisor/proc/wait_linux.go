package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has ended, and leaves it to be reaped. With a pidfd it costs no thread; without
// (before Linux 5.4) it blocks one. With a pidfd it returns when the process is left to another, too.
func (p *Process) awaitExit() {
	if p.stranger {
		p.awaitStranger()
		return
	}
	if p.pidfd != nil && awaitPidfd(p.pidfd) || p.quits() {
		return
	}
	for {
		if err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

// awaitPidfd is false if this kernel or a sandbox cannot do it.
func awaitPidfd(f *os.File) (ended bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		for {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN, err == nil && info.Signo == 0:
				return false // still running: wait until the pidfd is readable
			}
			// ECHILD: it was reaped elsewhere.
			ended = err == nil || err == unix.ECHILD
			return true
		}
	})
	return err == nil && ended
}
