package proc

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/proc/output"
)

// Process is a started program: the leader of a process group.
type Process struct {
	pid     int
	readers [2]*output.Reader // of stdout, stderr; nil where no LineFunc is set
	tail    output.Tail       // of both

	mu       sync.Mutex // held while signalling and while reaping, so that the pid is ours during both
	reaped   bool
	pidfd    *os.File // closed with reaped; nil where there is none
	stranger bool     // not a child of this process: its parent reaps it
	exitOf   func() (status syscall.WaitStatus, known bool)
	told     *syscall.WaitStatus // of a stranger, by /proc before it was reaped; nil: not
	// as the system said last; kept only where Options.Suspended is set
	suspended bool

	exit       Exit // set before exited is closed
	exited     chan struct{}
	outputDone chan struct{}

	left    chan struct{} // closed by Quit, under mu
	gone    chan struct{} // closed when its exit will not be heard of, for Quit came first
	drained chan struct{} // closed when the readers have ended
	over    chan struct{} // closed when everything has
}

func newProcess() *Process {
	p := &Process{}
	for _, c := range []*chan struct{}{&p.exited, &p.outputDone, &p.left, &p.gone, &p.drained, &p.over} {
		*c = make(chan struct{})
	}
	return p
}

func (p *Process) newReader(f *os.File, deliver LineFunc, o Options, which int) *output.Reader {
	return output.NewReader(f, output.Config{
		Line: deliver, Written: []WrittenFunc{o.StdoutWritten, o.StderrWritten}[which], MaxLine: o.MaxLine,
		Exited: p.exited, Left: p.left, Tail: &p.tail,
	})
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit code; -1 if a signal ended it
	Signal syscall.Signal // 0: it exited
	// Unknown: another process has reaped it, and the system does not tell how it ended. Code is -1.
	Unknown bool
	// LastLine is the reason in the program's own words, if it gave one: the headline of a Go crash, else the last line on
	// stderr that is not blank, else that on stdout; at most 1 KiB. It is final once OutputDone is closed.
	LastLine string
	// LastLines are what it printed last on both streams, in the order in which it was read, separated by newlines: at
	// most 20 lines and 4 KiB, bytes as they were written, of each line at most the first 1 KiB. Of a Go crash they are
	// the headline and what follows it first. It is final once OutputDone is closed.
	LastLines string
}

// String is the exit in words: "exit code 3", "signal killed".
func (e Exit) String() string {
	if e.Unknown {
		return "unknown"
	}
	if e.Signal != 0 {
		return "signal " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// PID of the leader, and the id of its group.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the leader has ended, its group was killed, and the leader is reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Exit waits for the end of the process and tells how it was.
func (p *Process) Exit() Exit {
	<-p.exited
	return p.withWords(p.exit)
}

func (p *Process) withWords(e Exit) Exit {
	e.LastLines = p.tail.Lines()
	for _, r := range p.readers { // stderr comes last and wins
		if r != nil {
			if line := r.LastLine(); line != "" {
				e.LastLine = line
			}
		}
	}
	return e
}

// Killed reports whether SIGKILL has ended the process, whichever process sent it, and never waits: as a rule that is known before
// [Process.Exited] is closed, which takes a large process, or one on a busy CPU, milliseconds. The program does nothing
// more then, and its group is killed; what it printed last may still be on its way. Linux only; elsewhere it is known
// with the exit.
func (p *Process) Killed() (Exit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return p.withWords(p.exit), p.exit.Signal == syscall.SIGKILL
	}
	if p.quits() || !sigkilled(p.pid) {
		return Exit{}, false
	}
	_ = p.killGroup(syscall.SIGKILL) // as in reap, which comes later
	return p.withWords(Exit{Code: -1, Signal: syscall.SIGKILL}), true
}

// OutputDone is closed when no line follows: both streams are at their end, or [OutputGrace] after the exit, whichever
// is first. A LineFunc that is so slow gets the rest of what the process has written after that.
func (p *Process) OutputDone() <-chan struct{} { return p.outputDone }

// Drained is closed when the LineFuncs have got the last line, which may be after OutputDone. A program that ends before loses
// the rest.
func (p *Process) Drained() <-chan struct{} { return p.drained }

// run starts the goroutines of a process that was just started: a reader for each stream, and one that waits.
func (p *Process) run() {
	var reading sync.WaitGroup
	for _, r := range p.readers {
		if r != nil {
			reading.Go(r.Run)
		}
	}
	go func() {
		reading.Wait()
		close(p.drained)
	}()
	go func() {
		defer close(p.over)
		p.awaitExit()
		reaped := p.reap()
		suspensions.remove(p)
		if !reaped {
			close(p.gone)
			return
		}
		close(p.exited)
		p.awaitOutput()
		close(p.outputDone)
	}()
}

func (p *Process) awaitOutput() {
	grace := time.NewTimer(OutputGrace)
	defer grace.Stop()
	select {
	case <-p.drained:
	case <-grace.C:
		for _, r := range p.readers {
			if r != nil {
				r.Stop()
			}
		}
	}
}

// reap ends the group of a leader that has exited, and only then gives its id back to the system; false: it was left to
// another, whatever it does.
func (p *Process) reap() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quits() {
		if p.pidfd != nil {
			p.pidfd.Close()
		}
		return false
	}
	// An error means that the group is empty, or that its members changed their user: nothing more can be done about them.
	_ = p.killGroup(syscall.SIGKILL)

	status, known := p.collect()
	p.reaped = true
	if p.pidfd != nil {
		p.pidfd.Close()
	}
	if !known {
		p.exit = Exit{Code: -1, Unknown: true}
		return true
	}
	p.exit = Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		p.exit.Signal = status.Signal()
	}
	return true
}

// collect takes the exit status from the system. Where it is reaped elsewhere, in this process or by its parent, how it
// ended may be lost; that it ended is certain.
func (p *Process) collect() (status syscall.WaitStatus, known bool) {
	if p.stranger {
		return p.statusOfStranger()
	}
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		if err != syscall.EINTR {
			return status, err == nil
		}
	}
}

func (p *Process) closeReaders() {
	for _, r := range p.readers {
		if r != nil {
			r.Close()
		}
	}
}
