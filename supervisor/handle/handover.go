package handle

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc"
)

// FilesOfWorker is how many files another master needs of a worker. They are, in this order, its lifeline, its pidfd and the read ends
// of its output.
const FilesOfWorker = 4

// ExitOf returns how an adopted process has ended that another process reaps: see [proc.Adopt]. nil: the status is not known.
type ExitOf func() (status syscall.WaitStatus, known bool)

// Adopt goes on with a worker of another master, by files as [Worker.Files] makes them, which it takes over. It waits for a
// bounded time until the worker has taken its new channel; a worker that has ended, or does not take one, has none. The Worker posts
// facts once [Worker.Follow] has been called.
func Adopt(pid int, files []*os.File, exitOf ExitOf, o Options) (*Worker, error) {
	w, err := AdoptProcess(pid, files, exitOf, o)
	if err != nil {
		files[0].Close()
		return nil, err
	}
	if w.lifeline, err = ipc.OpenLifeline(files[0]); err == nil {
		w.Renew()
	}
	return w, nil
}

// AdoptProcess is Adopt without a channel or lifeline, for a worker that is to be ended: the lifeline's file stays the caller's.
func AdoptProcess(pid int, files []*os.File, exitOf ExitOf, o Options) (*Worker, error) {
	w := &Worker{options: o}
	if err := w.adopt(proc.Left{PID: pid, PIDFD: files[1], Stdout: files[2], Stderr: files[3]}, exitOf); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Worker) adopt(left proc.Left, exitOf ExitOf) (err error) {
	stdout, stderr := w.options.Output(left.PID)
	w.process, err = proc.Adopt(left, proc.Options{
		Stdout: stdout.Line, Stderr: stderr.Line,
		StdoutWritten: stdout.Written, StderrWritten: stderr.Written,
		Suspended: w.suspended,
	}, exitOf)
	return err
}

// Files duplicates what another master needs to adopt the worker, which must be Reachable. A stream that the worker has closed is
// one that ends at once.
func (w *Worker) Files() ([]*os.File, error) {
	left, err := w.process.Leave()
	if err != nil {
		return nil, err
	}
	line, err := ipc.Duplicate(w.lifeline.File())
	for _, stream := range []**os.File{&left.Stdout, &left.Stderr} {
		if *stream == nil && err == nil {
			*stream, err = os.Open(os.DevNull)
		}
	}
	if err != nil {
		left.Close()
		if line != nil {
			line.Close()
		}
		return nil, err
	}
	return []*os.File{line, left.PIDFD, left.Stdout, left.Stderr}, nil
}

// HearOut drops what was not sent within d, and ends the channel from this side if the worker said hello: what the worker has said
// already is still posted, and Hearing is true until the worker has closed its end too. A worker that did not say hello may not read the channel, and would not notice.
func (w *Worker) HearOut(d time.Duration, hello bool) {
	for _, f := range w.outbox.Take(d) {
		ipc.Discard(f)
	}
	w.hearing = hello && w.conn.CloseWrite() == nil
}

// Hearing reports whether the channel is being ended for another master.
func (w *Worker) Hearing() bool { return w.hearing }

// StopHearing notes that the worker has closed its end, or is not waited for any more.
func (w *Worker) StopHearing() { w.hearing = false }

// Give ends the channel and returns what Files does, with the process ready to be left. It returns nothing for a worker that has
// ended, or that is not Reachable: what that one waits for is its end.
func (w *Worker) Give() (files []*os.File, err error) {
	w.CloseChannel("another master takes over")
	if w.lifeline == nil {
		return nil, nil
	}
	if w.spare, err = w.process.Leave(); err == nil {
		files, err = w.Files()
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, os.ErrClosed) {
		return nil, nil
	}
	return files, err
}

// Quit begins to leave a process that was given: two masters that read one pipe would lose what is in it. The process acts and reads
// no more when the result is closed; nil: there is nothing to leave.
func (w *Worker) Quit() <-chan struct{} {
	if w.spare.PIDFD == nil {
		return nil
	}
	p, done := w.process, make(chan struct{})
	w.quit = done
	go func() { p.Quit(); close(done) }()
	return done
}

// Ended reports whether and how the process has ended that was not left, and whether it left of its own accord. It waits until a time at
// most for an end that is certain, and for its output.
func (w *Worker) Ended(until time.Time) (exit Exited, ended bool) {
	if w.lifeline != nil && w.quit == nil { // it has been reaped, and that is known in a moment
		within(w.process.Exited(), time.Until(until))
	}
	select {
	case <-w.process.Exited():
	default:
		return Exited{}, false
	}
	within(w.process.OutputDone(), time.Until(until))
	return Exited{Exit: w.process.Exit(), Left: w.left()}, true
}

// Forget gives up what Reclaim would need: another master is in charge.
func (w *Worker) Forget() { w.spare.Close() }

// Reclaim adopts the process of a worker that was left: the handover has failed. again is false where it was not left, or has ended
// before; with an error, its exit is posted as one of which nothing is known, and the lifeline is closed, so that it drains. With
// again, it is to be followed anew.
func (w *Worker) Reclaim(until time.Time, exitOf func(pid int) ExitOf) (again bool, err error) {
	spare, left := w.spare, w.quit
	w.spare, w.quit = proc.Left{}, nil
	if left == nil {
		spare.Close()
		return false, nil
	}
	within(left, time.Until(until))
	select {
	case <-w.process.Exited():
		spare.Close()
		return false, nil
	default:
	}
	before := w.process
	if err := w.adopt(spare, exitOf(spare.PID)); err != nil {
		w.process = before
		w.lifeline.Close()
		w.options.Go(func() { w.options.Post(Exited{Exit: proc.Exit{Code: -1, Unknown: true}}) })
		return false, err
	}
	return true, nil
}

// Renew makes a channel anew, where the worker has none. It reports whether that is so: a worker that has ended, or does not
// take its end, cannot have one.
func (w *Worker) Renew() bool {
	if w.outbox != nil || w.lifeline == nil {
		return false
	}
	conn, err := w.lifeline.Renew()
	if err != nil {
		return false
	}
	w.open(conn)
	return true
}

// Hear reads a channel that was renewed of a worker that is followed already.
func (w *Worker) Hear() {
	conn, gone := w.conn, w.process.Exited()
	w.options.Go(func() { w.read(conn, gone) })
}
