package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/tinehq/tine/supervisor/proc/output"
)

// Terminate sends SIGTERM to the whole group.
func (p *Process) Terminate() error { return p.signal("process group", syscall.SIGTERM, p.killGroup) }

// Kill sends SIGKILL to the whole group.
func (p *Process) Kill() error { return p.signal("process group", syscall.SIGKILL, p.killGroup) }

// Send sends any signal to the leader alone: what a person wants to tell the program is not for the helpers that it has
// started. The error is [os.ErrProcessDone] after the exit.
func (p *Process) Send(sig syscall.Signal) error { return p.signal("process", sig, p.killLeader) }

// signal sends sig with send, which reaches the process or its group, as to says in an error.
func (p *Process) signal(to string, sig syscall.Signal, send func(syscall.Signal) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	err := output.ErrLeft
	if !p.quits() {
		err = send(sig)
	}
	switch {
	case errors.Is(err, syscall.ESRCH):
		return os.ErrProcessDone
	case err != nil:
		return fmt.Errorf("cannot send %s to %s %d: %w", sig, to, p.pid, err)
	}
	return nil
}
