package proc

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

	maxLeftover = 1 << 20 // a pipe holds 64 KiB, and no user may make it larger than this
)

var clock = time.Now()

// stream is the read end of a process's output.
//
// Reading a line as soon as it is written costs a wake-up of the runtime's poller for each, which is most of what a line
// costs at all, and the poller is woken whether somebody reads or not. A stream that prints often but little is therefore
// taken from the poller and read every gatherFor; once it falls silent, prints much or its process ends it is given back.
type stream struct {
	file   *os.File        // in the poller; nil while lines gather
	exited <-chan struct{} // closed when the process prints nothing more: what is left is read without pause

	raw   int // the same pipe while lines gather
	pause *time.Timer
	empty bool // nothing was left at the last read
	quiet int  // turns in a row without a byte

	since time.Time // when the reads that are judged began
	reads int
	bytes int

	mu      sync.Mutex // guards file and raw against stop and share
	stopped bool
	closed  bool
	after   int // bytes read since then
}

// read is as of an io.Reader, called by one goroutine.
func (s *stream) read(buf []byte) (int, error) {
	for s.file == nil {
		if n, err, done := s.gathered(buf); done {
			return n, err
		}
	}
	n, err := s.file.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return s.leftover(buf)
	}
	if err != nil {
		return n, err
	}
	if s.reads == 0 {
		s.since, s.bytes = time.Now(), 0
	}
	s.reads++
	s.bytes += n
	if s.reads == gatherAfter {
		s.reads = 0
		took := time.Since(s.since)
		if took < gatherAfter*2*gatherFor && time.Duration(s.bytes)*gatherFor < gatherLimit*took {
			s.gather()
		}
	}
	return n, nil
}

// gathered reads what is there, after a pause if there was nothing left. It is not done when nothing came.
func (s *stream) gathered(buf []byte) (n int, err error, done bool) {
	if s.empty {
		if s.bytes > gatherLimit || s.quiet == quietTurns || !s.wait() {
			s.poll()
			return 0, nil, false
		}
	}
	n, err = syscall.Read(s.raw, buf)
	switch {
	case err == syscall.EINTR:
		return 0, nil, false
	case err == syscall.EAGAIN:
		s.empty = true
		return 0, nil, false
	case err != nil:
		return 0, &os.PathError{Op: "read", Path: "output", Err: err}, true
	case n == 0:
		return 0, io.EOF, true
	}
	s.empty = n < len(buf) // true of pipes, and checked by the next turn
	s.quiet = 0
	s.bytes += n
	return n, nil, true
}

// wait lets lines gather and begins a new turn; false: the process has ended.
func (s *stream) wait() bool {
	s.bytes, s.empty = 0, false
	s.quiet++
	// All streams at the same moments: one wake-up of the process is for all of them.
	s.pause.Reset(gatherFor - time.Since(clock)%gatherFor)
	select {
	case <-s.pause.C:
		return true
	case <-s.exited:
		return false
	}
}

// gather takes the stream from the poller. Where a descriptor for that is lacking it stays.
func (s *stream) gather() {
	select {
	case <-s.exited:
		return
	default:
	}
	raw, err := duplicate(s.file)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.file.Close()
	s.file, s.raw = nil, raw
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
	s.file, s.reads = pollable(s.raw), 0
	if s.stopped {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// stop ends the reading although somebody still holds the other end, once the process has exited. It may be called from
// any goroutine.
func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.file != nil {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// leftover reads what is in the pipe of a stream that was stopped, which the process has written although whoever takes it
// was too slow for OutputGrace; but not for ever what a stranger goes on to write.
func (s *stream) leftover(buf []byte) (n int, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), buf) }); e != nil {
		return 0, e
	}
	if s.after += n; n <= 0 || err != nil || s.after > maxLeftover {
		return max(n, 0), io.EOF
	}
	return n, nil
}

func (s *stream) close() {
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

func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(n uintptr) { fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 3) }); e != nil {
		return -1, e
	}
	return fd, err
}
