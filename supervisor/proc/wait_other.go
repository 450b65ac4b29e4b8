//go:build !linux

package proc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func (p *Process) killGroup(sig syscall.Signal) error  { return syscall.Kill(-p.pid, sig) }
func (p *Process) killLeader(sig syscall.Signal) error { return syscall.Kill(p.pid, sig) }

// statusOfStranger is never asked: no process is adopted here.
func (p *Process) statusOfStranger() (status syscall.WaitStatus, known bool) { return 0, false }

// awaitExit returns when the child has ended, and leaves it to be reaped. It blocks a thread.
func (p *Process) awaitExit() {
	pid := p.pid
	queue, err := unix.Kqueue()
	if err != nil {
		return // reaping waits instead; the group is then killed one step later
	}
	defer unix.Close(queue)
	unix.CloseOnExec(queue)
	var ev unix.Kevent_t
	unix.SetKevent(&ev, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	ev.Fflags = unix.NOTE_EXIT
	out := make([]unix.Kevent_t, 1)
	for {
		// ESRCH from the registration: it is a zombie already.
		if _, err := unix.Kevent(queue, []unix.Kevent_t{ev}, out, nil); err != unix.EINTR {
			return
		}
	}
}
