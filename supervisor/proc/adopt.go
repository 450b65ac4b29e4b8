package proc

import (
	"errors"
	"fmt"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc/output"
)

// Left is what another process has left of one that it started: all that Adopt needs.
type Left struct {
	PID            int
	PIDFD          *os.File
	Stdout, Stderr *os.File // the read ends of its pipes; nil: its output is not read
}

// Close closes the files.
func (l Left) Close() {
	for _, f := range []*os.File{l.PIDFD, l.Stdout, l.Stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// Leave returns duplicates of what another process needs to adopt this one. They are the caller's. The error is
// [os.ErrProcessDone] after the exit, and errors.ErrUnsupported where there are no pidfds. It comes before Quit.
func (p *Process) Leave() (l Left, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
		return l, os.ErrProcessDone
	case p.quits():
		return l, fmt.Errorf("cannot leave process %d to another: %w", p.pid, output.ErrLeft)
	case p.pidfd == nil:
		return l, fmt.Errorf("cannot leave process %d to another: no pidfd: %w", p.pid, errors.ErrUnsupported)
	}
	l.PID = p.pid
	if l.PIDFD, err = ipc.Duplicate(p.pidfd); err == nil {
		for i, to := range []**os.File{&l.Stdout, &l.Stderr} {
			if p.readers[i] == nil {
				continue
			}
			if *to, err = p.readers[i].Share(); err != nil {
				break
			}
		}
	}
	if err != nil {
		l.Close()
		return Left{}, fmt.Errorf("cannot leave process %d to another: %w", p.pid, AsLimit(err))
	}
	return l, nil
}
