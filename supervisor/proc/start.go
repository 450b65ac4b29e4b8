package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc/output"
)

// OutputGrace is how long after the exit of a process its pipes may stay open: only a process that left the group can
// still hold them.
const OutputGrace = 500 * time.Millisecond

// Of the output: see package output.
type (
	LineFunc    = output.LineFunc
	WrittenFunc = output.WrittenFunc
)

// Options of [Start] and [Adopt].
type Options struct {
	Files          []*os.File // become descriptors 3, 4, ... of the process; they stay the caller's
	Stdout, Stderr LineFunc   // nil: to /dev/null
	MaxLine        int        // 0: output.DefaultMaxLine

	// nil: a line is written when its LineFunc has returned. Without tee(2), and elsewhere than on Linux, they are not
	// called: a line is taken out of the pipe when it is read.
	StdoutWritten, StderrWritten WrittenFunc

	// CPUs are those that the process is bound to; nil: it may run where the caller may. Best effort: a system that
	// refuses, or none of them being there, is not an error.
	CPUs []int

	// Suspended, when set, is told at once when a signal (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU) suspends the leader, and when
	// SIGCONT makes it go on. It hears of changes only: a suspension shorter than it takes to notice may be missed. It is
	// called from one goroutine for all processes and must not block; a last call may come while the exit is being told.
	// A process that a debugger holds does not count as suspended. Linux only; elsewhere it is never called.
	Suspended func(suspended bool)
}

// Start runs c as the leader of a new process group. When it returns without error the program has been executed: a
// missing interpreter or a file for another architecture is an error here, not an exit. Running into a limit of the
// system is a [*LimitError].
func Start(c Command, o Options) (*Process, error) {
	if len(c.Args) == 0 {
		return nil, fmt.Errorf("cannot start %s: Args is empty", c.Path)
	}
	p, err := start(c, o)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Path, AsLimit(err))
	}
	return p, nil
}

func start(c Command, o Options) (_ *Process, err error) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer syscall.Close(null)

	p := newProcess()
	fds := make([]uintptr, 1, 3+len(o.Files))
	fds[0] = uintptr(null)
	for i, fn := range []LineFunc{o.Stdout, o.Stderr} {
		if fn == nil {
			fds = append(fds, uintptr(null))
			continue
		}
		r, w, err := output.Pipe()
		if err != nil {
			p.closeReaders()
			return nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
		}
		defer syscall.Close(w)
		p.readers[i] = p.newReader(r, fn, o, i)
		fds = append(fds, uintptr(w))
	}
	for _, f := range o.Files {
		fd, err := ipc.Descriptor(f)
		if err != nil {
			p.closeReaders()
			return nil, fmt.Errorf("cannot pass on %s: %w", f.Name(), err)
		}
		fds = append(fds, uintptr(fd))
	}

	keepInherited()
	pidfd := -1
	fork := func() (byPath bool) {
		var path, dir string
		if path, dir, err = c.places(); err != nil {
			return false
		}
		bound(o.CPUs, func() {
			p.pid, err = syscall.ForkExec(path, c.Args, &syscall.ProcAttr{Dir: dir, Env: c.Env, Files: fds, Sys: attributes(&pidfd)})
		})
		return path == c.Path
	}
	if byPath := fork(); byPath && c.Pinned.Program != nil {
		// What is at the path may have been replaced or removed in between.
		switch {
		case err != nil:
			fork()
		case c.ranAnother(p.pid):
			endAtOnce(p.pid, &pidfd)
			fork()
		}
	}
	runtime.KeepAlive(o.Files)
	runtime.KeepAlive(c.Pinned)
	if err != nil {
		p.closeReaders()
		return nil, explain(err, c)
	}
	if o.Suspended != nil {
		suspensions.add(p, o.Suspended)
	}
	if pidfd >= 0 {
		p.pidfd = output.Pollable(pidfd)
	}
	p.run()
	return p, nil
}

// explain adds to an error of exec what its bare number does not say.
func explain(err error, c Command) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		if _, e := os.Stat(c.Dir); c.Dir != "" && e != nil {
			return fmt.Errorf("working folder %s: %w", c.Dir, bare(e))
		}
		if _, e := os.Stat(c.Path); e == nil {
			return fmt.Errorf("the interpreter or loader that it names is missing: %w", err)
		}
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("neither a program for this machine nor a script with a #! line: %w", err)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("the file is being written: %w", err)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("arguments and environment are too large: %w", err)
	}
	return err
}
