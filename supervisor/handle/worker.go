package handle

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc"
)

const (
	// lastFrames bounds the wait, after a worker's exit, for frames that it sent before: its Bye should be known when its end
	// is judged.
	lastFrames = 100 * time.Millisecond
	// lastWords bounds the wait, after a worker's exit, for the end of its output, so that the log can say with the exit what it
	// said last. The pipe is at its end in microseconds unless a stranger holds it.
	lastWords = 5 * time.Millisecond
)

// Worker is one worker process. One goroutine owns it: see the package. The zero Worker is of a process that was not reached: it has
// no channel and no lifeline, and Process is nil.
type Worker struct {
	options  Options
	process  *proc.Process
	lifeline *ipc.Lifeline // nil: it could not be opened. Set once
	conn     *ipc.Conn     // the newest; nil: there was none
	outbox   *ipc.Outbox   // of conn; nil: the channel has ended

	spare   proc.Left     // during a handover: to have the process back, should that fail
	quit    chan struct{} // likewise: closed when process acts and reads no more
	hearing bool          // the channel is ended for another master: what the worker has said counts

	acked atomic.Uint64

	calls    map[uint64]chan<- ipc.Reply // that the worker has not answered, by ID
	lastCall uint64
	dropped  dropped
}

// Options are what a Worker needs of its master. Its functions may be called by several goroutines.
type Options struct {
	// Post takes a fact. false: the master takes no more, and what is in the fact stays the Worker's.
	Post func(Fact) bool
	// Done is closed when the master takes no more.
	Done <-chan struct{}
	// Go runs a function in a goroutine that the master waits for at its end.
	Go func(func())
	// Output returns where the lines of the process's output go. It is called once, before the first line.
	Output func(pid int) (stdout, stderr Output)
}

// Output takes the lines of one stream, from one goroutine: see [proc.Options].
type Output interface {
	Line(line []byte, more bool)
	Written(hurry bool)
}

// Start starts the process, bound to cpus if there are some, with a channel and a lifeline. It may wait for a disk. The Worker posts facts
// once [Worker.Follow] has been called, and Suspended at once.
func Start(command proc.Command, cpus []int, o Options) (*Worker, error) {
	conn, child, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer child.Close()
	lifeline, lifelineChild, err := ipc.NewLifeline()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer lifelineChild.Close()
	w := &Worker{options: o, lifeline: lifeline}
	// The pumps may have a line before the PID that stands in front of it is known.
	known := make(chan struct{})
	var stdout, stderr Output
	w.process, err = proc.Start(command, proc.Options{
		CPUs:   cpus,
		Files:  []*os.File{child, lifelineChild},
		Stdout: func(line []byte, more bool) { <-known; stdout.Line(line, more) },
		Stderr: func(line []byte, more bool) { <-known; stderr.Line(line, more) },
		// After the lines, so never before it is known.
		StdoutWritten: func(hurry bool) { stdout.Written(hurry) },
		StderrWritten: func(hurry bool) { stderr.Written(hurry) },
		Suspended:     w.suspended,
	})
	if err != nil {
		conn.Close()
		lifeline.Close()
		return nil, err
	}
	stdout, stderr = o.Output(w.process.PID())
	close(known)
	w.open(conn)
	return w, nil
}

// Attach makes a Worker of a process and the master's end of a channel. It has no lifeline, so that no other master can adopt it. Tests
// of the master use it to speak for a worker.
func Attach(p *proc.Process, conn *ipc.Conn, o Options) *Worker {
	w := &Worker{options: o, process: p}
	w.open(conn)
	return w
}

func (w *Worker) suspended(stopped bool) { w.options.Post(Suspended{stopped}) }

// open goes on with a connection.
func (w *Worker) open(conn *ipc.Conn) {
	w.conn = conn
	w.outbox = ipc.NewOutbox(conn, ipc.OutboxOptions{
		OnStuck: func(waiting time.Duration) { w.options.Post(Stuck{waiting}) },
	})
}

// Process is the worker's process. After [Worker.Reclaim] it is another one.
func (w *Worker) Process() *proc.Process { return w.process }

// PID is that of the process; 0: it was not reached.
func (w *Worker) PID() int {
	if w == nil || w.process == nil {
		return 0
	}
	return w.process.PID()
}

// Reachable reports whether there is a lifeline, so that another master could adopt the worker.
func (w *Worker) Reachable() bool { return w.lifeline != nil }

// Open reports whether frames can be sent to the worker.
func (w *Worker) Open() bool { return w.outbox != nil }

// Heard reports whether what the worker says counts: its channel is open, or is being ended for another master.
func (w *Worker) Heard() bool { return w.outbox != nil || w.hearing }

// Current reports whether a fact that came from conn is of the channel that there is now.
func (w *Worker) Current(conn *ipc.Conn) bool { return conn == w.conn }

// Acked is the epoch up to which the worker has applied all changes of values. Any goroutine may ask.
func (w *Worker) Acked() uint64 { return w.acked.Load() }

// Abandon ends a worker that the master has no place for, before it was followed.
func (w *Worker) Abandon() {
	_ = w.process.Kill()
	w.outbox.Close()
	w.lifeline.Close()
}

// Follow returns a function that posts what the worker says, and how it ended. The function runs in a goroutine of its own, and
// returns when the process has ended and its output is read, or has had [proc.OutputGrace] for that, or when the process is left to
// another master; the lifeline lasts then. Follow itself is the owner's, like all other methods.
func (w *Worker) Follow() func() {
	p, conn := w.process, w.conn
	return func() {
		read := make(chan struct{})
		if conn == nil {
			close(read)
		} else {
			w.options.Go(func() { defer close(read); w.read(conn, p.Exited()) })
		}
		exit, known := awaitEnd(p, read)
		if !known {
			return
		}
		if w.lifeline != nil {
			defer w.lifeline.Close()
		}
		w.options.Post(Exited{Exit: exit, Left: w.left()})
		select {
		case <-p.Exited():
			<-p.OutputDone()
			// On a busy machine, or with a slow log, lines still come. A master that ends waits for what runs here.
			w.options.Go(func() { <-p.Drained() })
		case <-p.Abandoned(): // the end was certain, and not over
		}
	}
}

func (w *Worker) left() bool { return w.lifeline != nil && w.lifeline.Left() }

// awaitEnd waits until it is certain that the worker runs no more, and returns how it ended. The channel of a worker that was killed ends
// before the system has taken the rest of it apart, and its replacement need not wait for that. The end is not known if p is
// left to another master first.
func awaitEnd(p *proc.Process, read <-chan struct{}) (exit proc.Exit, known bool) {
	select {
	case <-read:
		if exit, killed := p.Killed(); killed {
			return exit, true
		}
	case <-p.Exited():
	case <-p.Abandoned():
	}
	select {
	case <-p.Exited():
	case <-p.Abandoned():
		return proc.Exit{}, false
	}
	if p.Exit().Signal != syscall.SIGKILL {
		// A worker that is killed sends nothing at the end; its replacement need not wait for it.
		within(read, lastFrames)
	}
	within(p.OutputDone(), lastWords)
	return p.Exit(), true
}

func within(done <-chan struct{}, d time.Duration) {
	select {
	case <-done:
	case <-time.After(d):
	}
}
