package output

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// gatherFor is how long the lines of a stream gather in its pipe while it is one that prints often but little. It is
	// short beside what a person who follows would notice.
	gatherFor = 10 * time.Millisecond
	// gatherLimit is how much may gather in that time, a part of what even a short pipe takes: a stream with more to say
	// must never wait for us.
	gatherLimit = 5 << 10
	// gatherAfter is over how many reads it is judged, and quietTurns how often in a row nothing may have come.
	gatherAfter = 32
	quietTurns  = 10

	// A line that is not whole yet is looked at again after lookAfter, then less and less often, and at once spins times
	// where more than spinFrom bytes came before it: its writer is about to write more.
	lookAfter  = time.Millisecond
	lookAtMost = 100 * time.Millisecond
	spinFrom   = 8 << 10
	spins      = 50

	maxLeftover = 1 << 20 // a pipe holds 64 KiB, and no user may make it larger than this
)

var clock = time.Now()

// ErrLeft is of what a process, or its output, cannot do any more because it is left to another process.
var ErrLeft = errors.New("left to another process")

// stream is the read end of a process's output.
//
// What is read stays in the pipe until the log has it: read copies it, settle takes it out (see peek). Where that is not
// possible reading takes it out, as usual.
//
// Reading a line as soon as it is written costs a wake-up of the runtime's poller for each, which is most of what a line
// costs at all, and the poller is woken whether the stream is read or not. A stream that prints often but little is therefore
// taken from the poller and read every gatherFor; once it falls silent, prints much or its process ends it is given back.
// What it has read in one turn is taken out in the next: by then the log has it, and neither has to wait.
type stream struct {
	file    *os.File        // in the poller; nil while lines gather
	exited  <-chan struct{} // closed when the process prints nothing more: what is left is read without pause
	left    <-chan struct{} // closed when the stream is left to another process; nil: it never is
	written WrittenFunc     // of what was delivered; nil: at once

	raw   int // the same pipe, also while it is in the poller
	conn  syscall.RawConn
	pause *time.Timer
	empty bool // nothing was left at the last read
	quiet int  // turns in a row without a byte

	since time.Time // when the reads that are judged began
	reads int
	bytes int

	peeker
	ahead int  // bytes that were read and are still in the pipe
	due   int  // those of them that were delivered
	ended bool // nothing more is read
	timed bool // a deadline is set for a look at what is ahead

	// What try reads, which the poller calls: a closure for each read would be garbage.
	try  func(fd uintptr) bool
	into []byte
	held int
	n    int
	err  error

	mu      sync.Mutex // guards file and raw against Stop, Wake and Share
	stopped bool
	closed  bool
	after   int // bytes read since then
}

// read reads what follows the first held bytes of buf, of which the last ahead are still in the pipe. It returns as an
// io.Reader does, and ErrLeft once the stream is left to another process. It is called by one goroutine.
func (s *stream) read(buf []byte, held int) (int, error) {
	for s.file == nil {
		if n, err, done := s.gathered(buf, held); done {
			return n, err
		}
	}
	s.settle()
	if s.quits() {
		return 0, ErrLeft
	}
	if s.conn == nil {
		if err := s.attach(); err != nil {
			return 0, err
		}
	}
	s.into, s.held = buf, held
	err := s.await()
	s.into = nil
	if err == nil {
		err = s.err
	}
	switch {
	case err == nil:
	case s.quits():
		return 0, ErrLeft
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.leftover(buf, held)
	default:
		return 0, err
	}
	if s.reads == 0 {
		s.since, s.bytes = time.Now(), 0
	}
	s.reads++
	s.bytes += s.n
	if s.reads == gatherAfter {
		s.reads = 0
		took := time.Since(s.since)
		if took < gatherAfter*2*gatherFor && time.Duration(s.bytes)*gatherFor < gatherLimit*took {
			s.gather()
		}
	}
	return s.n, nil
}

// await reads when there is something to be read. The system wakes a reader that waits for an empty pipe, but not
// always one that waits for more in a pipe that is not empty: with bytes ahead it is also looked at from time to time.
func (s *stream) await() error {
	if s.ahead > 0 && s.n > spinFrom {
		for range spins {
			if s.try(0) {
				return nil
			}
			runtime.Gosched()
		}
	}
	for pause := lookAfter; ; pause = min(2*pause, lookAtMost) {
		s.lookIn(pause)
		err := s.conn.Read(s.try)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || s.quits() || s.ahead == 0 || s.isStopped() {
			return err
		}
	}
}

// readAway reads what is in the pipe and takes it out; nothing may be ahead.
func (s *stream) readAway(buf []byte) (int, error) {
	for {
		n, err := syscall.Read(s.raw, buf)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// lookIn ends a read that waits after a pause, if bytes are ahead.
func (s *stream) lookIn(pause time.Duration) {
	if s.ahead == 0 && !s.timed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.quits() {
		return
	}
	at := time.Time{}
	if s.timed = s.ahead > 0; s.timed {
		at = time.Now().Add(pause)
	}
	_ = s.file.SetReadDeadline(at)
}

func (s *stream) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// attach prepares the reading of a file in the poller.
func (s *stream) attach() (err error) {
	if s.conn, err = s.file.SyscallConn(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.try == nil {
		s.try = func(uintptr) bool {
			s.n, s.err = s.peek(s.into, s.held)
			return s.err != syscall.EAGAIN
		}
	}
	return s.conn.Control(func(fd uintptr) {
		s.raw = int(fd)
		s.prepare()
	})
}

// keep says that of what was read only the last n bytes have not been delivered.
func (s *stream) keep(n int) { s.due = max(s.ahead-n, 0) }

// settle takes out of the pipe what was delivered, once it is written.
func (s *stream) settle() {
	if s.due == 0 {
		return
	}
	if s.written != nil {
		s.written(s.due > gatherLimit || s.ended || s.quits())
	}
	s.take(s.due)
	s.ahead -= s.due
	s.due = 0
}

// quits reports whether the stream is left to another process.
func (s *stream) quits() bool {
	select {
	case <-s.left:
		return true
	default:
		return false
	}
}

// gathered reads what is there, after a pause if there was nothing left. It is not done when nothing came.
func (s *stream) gathered(buf []byte, held int) (n int, err error, done bool) {
	if s.empty {
		if s.bytes > gatherLimit || s.quiet == quietTurns || !s.wait() {
			s.poll()
			return 0, nil, false
		}
	}
	s.settle()
	if s.quits() {
		return 0, ErrLeft, true
	}
	n, err = s.peek(buf, held)
	switch {
	case err == syscall.EAGAIN:
		s.empty = true
		return 0, nil, false
	case err == io.EOF:
		return 0, err, true
	case err != nil:
		return 0, &os.PathError{Op: "read", Path: "output", Err: err}, true
	}
	s.empty = held+n < len(buf) // true of pipes, and checked by the next turn
	s.quiet = 0
	s.bytes += n
	return n, nil, true
}

// wait lets lines gather and begins a new turn; false: the process has ended, or is left to another.
func (s *stream) wait() bool {
	s.bytes, s.empty = 0, false
	s.quiet++
	// All streams at the same moments: one wake-up of the process is for all of them.
	s.pause.Reset(gatherFor - time.Since(clock)%gatherFor)
	select {
	case <-s.pause.C:
		return true
	case <-s.exited:
	case <-s.left:
	}
	return false
}

// gather takes the stream from the poller. Where a descriptor for that is lacking it stays.
func (s *stream) gather() {
	select {
	case <-s.exited:
		return
	default:
	}
	fd, err := ipc.Descriptor(s.file)
	if err != nil {
		return
	}
	raw, err := ipc.DuplicateFD(fd, 3)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.file.Close()
	s.file, s.conn, s.raw = nil, nil, raw
	s.mu.Unlock()
	s.empty, s.quiet, s.bytes = false, 0, 0
	if s.pause == nil {
		s.pause = time.NewTimer(gatherFor)
	}
}

// poll gives the stream back to the poller.
func (s *stream) poll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.reads = Pollable(s.raw), 0
	if s.stopped {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// Stop ends the reading although a process still holds the other end: the leader has exited, and its output had time. What
// is in the pipe is read yet. It may be called from any goroutine.
func (s *stream) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.file != nil {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// leftover reads what is in the pipe of a stream that was stopped: the process has written it, and the LineFunc was too slow
// to take it in time. It is bounded, because another process may go on to write.
func (s *stream) leftover(buf []byte, held int) (n int, err error) {
	n, err = s.peek(buf, held)
	if s.after += n; err != nil || s.after > maxLeftover {
		return n, io.EOF
	}
	return n, nil
}

// Wake makes a read that waits notice that Left is closed. It may be called from any goroutine.
func (s *stream) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// Share duplicates the read end, for the process that the stream is left to. It is nil if the stream is at its end. It may
// be called from any goroutine.
func (s *stream) Share() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	if s.file != nil {
		return ipc.Duplicate(s.file)
	}
	fd, err := ipc.DuplicateFD(s.raw, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "output"), nil
}

// Close closes the read end of a Reader that is not run.
func (s *stream) Close() {
	if s.pause != nil {
		s.pause.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.file == nil {
		syscall.Close(s.raw)
		return
	}
	s.file.Close()
}
