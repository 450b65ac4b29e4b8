package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// DefaultMaxLine is the longest line that a [LineFunc] gets in one piece when [Options.MaxLine] is 0: a stack, or a dumped
// request. Where many processes print such lines at once, pieces are shorter, but never below 64 KiB: see longLines.
const DefaultMaxLine = 256 << 10

// OutputGrace is how long after the exit of a process its pipes may stay open: only a process that left the group can
// still hold them.
const OutputGrace = 500 * time.Millisecond

// LineFunc gets what a process prints, one line at a time without its newline, bytes as they were written. A line longer
// than MaxLine comes in pieces, and so may one of more than 64 KiB: more says that the line goes on in the next call. It is called from one goroutine for
// each stream. It may block, which holds up the process that prints and nobody else. line is valid during the call.
type LineFunc func(line []byte, more bool)

// WrittenFunc returns when all lines that were delivered to a [LineFunc] before the call are where they are to be, or are
// given up. Only then they are taken out of the pipe: whoever adopts the process after this one was killed reads them
// again, and none is lost. It is called by the goroutine that calls the LineFunc. hurry: much has been delivered and the process
// may be waiting for room in the pipe, or nothing more will be; without it what gathers lines for a few ms may go on to.
type WrittenFunc func(hurry bool)

// Options of [Start] and [Adopt].
type Options struct {
	Files          []*os.File // become descriptors 3, 4, ... of the process; they stay the caller's
	Stdout, Stderr LineFunc   // nil: to /dev/null
	MaxLine        int        // 0: DefaultMaxLine

	// nil: a line is written when its LineFunc has returned. Without tee(2), and elsewhere than on Linux, they are not
	// called: a line is taken out of the pipe when it is read.
	StdoutWritten, StderrWritten WrittenFunc

	// CPUs are those that the process is bound to; nil: it may run where the caller may. Best effort: a system that
	// refuses, or none of them being there, is not an error.
	CPUs []int

	// Suspended, when set, is told at once when a signal (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU) suspends the leader, and when
	// SIGCONT makes it go on. It hears of changes only: a suspension shorter than it takes to notice may be missed. It is
	// called from one goroutine for all processes and must not block; a last call may come while the exit is being told.
	// That a debugger holds the process is no suspension. Linux only; elsewhere it is never called.
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
	if o.MaxLine <= 0 {
		o.MaxLine = DefaultMaxLine
	}
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
		r, w, err := outputPipe()
		if err != nil {
			p.closePumps()
			return nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
		}
		defer syscall.Close(w)
		p.pumps[i] = p.newPump(r, fn, o, i)
		fds = append(fds, uintptr(w))
	}
	for _, f := range o.Files {
		fd, err := descriptor(f)
		if err != nil {
			p.closePumps()
			return nil, err
		}
		fds = append(fds, fd)
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
		p.closePumps()
		return nil, explain(err, c)
	}
	if o.Suspended != nil {
		suspensions.add(p, o.Suspended)
	}
	if pidfd >= 0 {
		p.pidfd = pollable(pidfd)
	}
	p.run()
	return p, nil
}

// descriptor reads the number of f without touching its mode: f.Fd() may clear O_NONBLOCK on the description, which a
// listening socket shares with every worker that accepts on it.
func descriptor(f *os.File) (fd uintptr, err error) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = n })
	}
	if err != nil {
		return 0, fmt.Errorf("cannot pass on %s: %w", f.Name(), err)
	}
	return fd, nil
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
