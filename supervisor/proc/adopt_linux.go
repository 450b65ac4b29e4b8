package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc/output"
)

// reapedWithin bounds the wait for an adopted process's real parent to reap it; its exit status is readable only after that.
const reapedWithin = time.Second

// Adopt takes over a process that another one has started with Start, and left. It owns the files of l, also when it fails.
// Options.Files and CPUs have no effect. What the process has printed and was not taken out of the pipe is delivered: of
// one that was killed that may be what it had delivered last, a second time.
//
// Its exit is noticed whichever process reaps it, and however late: its parent may have other things to do. How it ended is known if
// this process is its parent, if it is not reaped yet and /proc tells, from Linux 6.15 on, or from exitOf, which may be nil and is asked for a stranger's status otherwise. Options.Suspended hears nothing of a stranger.
// A process that has ended meanwhile is adopted like any other, and its exit follows.
func Adopt(l Left, o Options, exitOf func() (status syscall.WaitStatus, known bool)) (*Process, error) {
	p, err := adopt(l, o)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot adopt process %d: %w", l.PID, err)
	}
	p.exitOf = exitOf
	p.run()
	return p, nil
}

func adopt(l Left, o Options) (*Process, error) {
	if l.PID <= 1 || l.PIDFD == nil {
		return nil, errors.New("its PID or its pidfd is missing")
	}
	if err := isPidfdOf(l.PIDFD, l.PID); err != nil {
		return nil, err
	}
	p := newProcess()
	p.pid = l.PID
	for i, f := range []*os.File{l.Stdout, l.Stderr} {
		fn := []LineFunc{o.Stdout, o.Stderr}[i]
		if f == nil {
			continue
		}
		if fn == nil {
			fn = func([]byte, bool) {} // its writer must not wait for a reader
		}
		own, err := inPoller(f)
		if err != nil {
			p.closeReaders()
			return nil, err
		}
		p.readers[i] = p.newReader(own, fn, o, i)
	}
	own, err := inPoller(l.PIDFD)
	if err != nil {
		p.closeReaders()
		return nil, err
	}
	p.pidfd = own
	p.stranger = isStranger(own)
	l.Close()
	if o.Suspended != nil && !p.stranger {
		suspensions.add(p, o.Suspended)
	}
	return p, nil
}

// inPoller duplicates f: it may have been opened outside of the runtime's poller.
func inPoller(f *os.File) (*os.File, error) {
	own := -1
	err := ipc.Control(f, func(fd int) (err error) {
		own, err = ipc.DuplicateFD(fd, 3)
		return err
	})
	if err != nil {
		return nil, err
	}
	return output.Pollable(own), nil
}

// isPidfdOf checks that f is what it is said to be, so that no signal reaches another process. That of a process that was
// reaped has no number any more.
func isPidfdOf(f *os.File, pid int) error {
	got, err := pidOf(f)
	if err == nil && got != pid && got != -1 {
		err = fmt.Errorf("its pidfd is of process %d", got)
	}
	return err
}

// isStranger reports whether the process is not a child of this one.
func isStranger(pidfd *os.File) (stranger bool) {
	_ = ipc.Control(pidfd, func(fd int) error {
		for {
			err := unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
			if err != unix.EINTR {
				stranger = err == unix.ECHILD
				return nil
			}
		}
	})
	return stranger
}

// awaitStranger returns when the process has ended, its group is killed, and it is reaped, if its parent does that in time:
// a pidfd is readable after the exit, and hung up once it was reaped.
func (p *Process) awaitStranger() {
	p.awaitEvents(unix.POLLIN | unix.POLLHUP)
	if p.quits() {
		return
	}
	_ = p.killGroup(unix.SIGKILL)
	if status, ok := p.zombieStatus(); ok {
		p.told = &status
		return
	}
	_ = p.pidfd.SetReadDeadline(time.Now().Add(reapedWithin))
	p.awaitEvents(unix.POLLHUP)
}

func (p *Process) awaitEvents(events int16) (came bool) {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(fds, 0)
			if err == unix.EINTR {
				continue
			}
			came = n > 0 && fds[0].Revents&events != 0
			return came || err != nil
		}
	})
	return err == nil && came
}

// statusOfStranger is what was read before the process was reaped. Else it asks the system, which knows afterwards, and
// then exitOf.
func (p *Process) statusOfStranger() (status syscall.WaitStatus, known bool) {
	if p.told != nil {
		return *p.told, true
	}
	_ = ipc.Control(p.pidfd, func(fd int) error {
		status, known = exitStatus(fd)
		return nil
	})
	if !known && p.exitOf != nil {
		return p.exitOf()
	}
	return status, known
}

// killGroup signals all of the group. With a pidfd (from Linux 6.9 on) the group is the one that the process was given, also
// when another process has reaped it and its number is in use again.
func (p *Process) killGroup(sig syscall.Signal) error {
	if !p.stranger {
		return syscall.Kill(-p.pid, sig)
	}
	err := ipc.Control(p.pidfd, func(fd int) error {
		return unix.PidfdSendSignal(fd, sig, nil, pidfdSignalProcessGroup)
	})
	if errors.Is(err, unix.EINVAL) { // before that the leader vouches for the number, as long as it runs
		if err = p.killLeader(0); err == nil {
			err = syscall.Kill(-p.pid, sig)
		}
	}
	return err
}

func (p *Process) killLeader(sig syscall.Signal) error {
	if !p.stranger {
		return syscall.Kill(p.pid, sig)
	}
	return ipc.Control(p.pidfd, func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
}

// From linux/pidfd.h.
const (
	pidfdSignalProcessGroup = 1 << 2
	pidfdGetInfo            = 0xc040ff0b // _IOWR(0xFF, 11, 64 bytes)
	pidfdInfoExit           = 1 << 3
)
