package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/tinehq/tine/supervisor/proc/output"
)

// Send sends any signal to the leader alone: what a person wants to tell the program is not for the helpers that it has
// started. The error is [os.ErrProcessDone] after the exit.
func (p *Process) Send(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	if p.quits() {
		return fmt.Errorf("cannot send %s to process %d: %w", sig, p.pid, output.ErrLeft)
	}
	err := p.killLeader(sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("cannot send %s to process %d: %w", sig, p.pid, err)
	}
	return nil
}
