package supervisor

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// sinkSize bounds what waits for one destination, in bytes. It is large enough
// to take a burst of every worker's last words and small enough to forget.
const sinkSize = 1 << 20

// sink is the bounded queue between everybody who logs and one destination.
// Its only reader is its own goroutine, so that a terminal that was paused or a
// disk that is full never holds up the supervisor's loop.
//
// Two kinds of writers share it and differ in what happens when it is full:
//
//	Write  the master's own lines. Never waits; a line that finds no room is
//	       dropped and counted, because the loop must not stall.
//	Line   a worker's output. Waits, which in turn makes that worker wait on
//	       its pipe; nothing of it is lost and nobody else notices.
//
// What the destination refuses (a full disk) is dropped and counted as well; a
// line with the number and the reason follows as soon as it accepts again.
type sink struct {
	mu       sync.Mutex
	ready    sync.Cond // something is pending, or closed
	room     sync.Cond // pending has become smaller, or closed
	pending  []byte
	lines    int // lines in pending
	spare    []byte
	dropped  int   // lines that nobody will see
	lastErr  error // why the destination refused; nil: there was no room
	closed   bool
	finished chan struct{}
	notice   func(lost int, why error) []byte

	destMu sync.Mutex // held over a write, so that Reopen never closes under it
	dest   io.Writer
	over   bool                      // nothing more is written
	reopen func() (io.Writer, error) // nil: the destination is not ours to reopen
}

func newSink(dest io.Writer, reopen func() (io.Writer, error), notice func(int, error) []byte) *sink {
	s := &sink{dest: dest, reopen: reopen, notice: notice, finished: make(chan struct{})}
	s.ready.L, s.room.L = &s.mu, &s.mu
	go s.run()
	return s
}

// Write queues one of the master's own lines. It never blocks and never fails.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.pending)+len(line) > sinkSize {
		s.dropped++
		return len(line), nil
	}
	s.add(line)
	return len(line), nil
}

// Line queues a worker's output, given in pieces that belong together, and waits
// while there is no room. It returns at once when the sink is closed.
func (s *sink) Line(pieces ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > sinkSize/2 && !s.closed {
		s.room.Wait()
	}
	if s.closed {
		s.dropped++
		return
	}
	s.add(pieces...)
}

func (s *sink) add(pieces ...[]byte) {
	for _, p := range pieces {
		s.pending = append(s.pending, p...)
	}
	s.lines++
	s.ready.Signal()
}

// Reopen replaces the destination by a newly opened one, as SIGUSR1 asks for
// after a log file was moved away. On an error the old one stays in use. It waits
// for the write in progress: not for the loop to call.
func (s *sink) Reopen() error {
	if s.reopen == nil {
		return nil
	}
	dest, err := s.reopen()
	if err != nil {
		return err
	}
	s.destMu.Lock()
	defer s.destMu.Unlock()
	old := s.dest
	if s.over {
		old = dest
	} else {
		s.dest = dest
	}
	return closeIt(old)
}

func closeIt(w io.Writer) error {
	if c, ok := w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Close writes what is pending, for at most d, says what was lost at the very end,
// ends the sink's goroutine and closes a destination that the sink has opened. A
// destination that does not take it in that time keeps the goroutine, which then
// ends with the process.
func (s *sink) Close(d time.Duration) error {
	s.mu.Lock()
	s.closed = true
	s.ready.Broadcast()
	s.room.Broadcast()
	s.mu.Unlock()
	select {
	case <-s.finished:
		return nil
	case <-time.After(d):
		return fmt.Errorf("cannot write the last log lines: the destination took none for %s", d)
	}
}

func (s *sink) run() {
	defer close(s.finished)
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.closed {
			s.ready.Wait()
		}
		if len(s.pending) == 0 {
			lost, why := s.dropped, s.lastErr
			s.mu.Unlock()
			s.end(lost, why)
			return
		}
		batch, lines := s.pending, s.lines
		lost, why := s.dropped, s.lastErr
		s.pending, s.lines, s.spare = s.spare[:0], 0, nil
		s.mu.Unlock()
		s.room.Broadcast()

		err := s.deliver(batch, lost, why)

		s.mu.Lock()
		if err != nil {
			s.dropped += lines
			s.lastErr = err
		} else if lost > 0 {
			s.dropped -= lost
			s.lastErr = nil
		}
		if cap(batch) <= 2*sinkSize {
			s.spare = batch[:0]
		}
		s.mu.Unlock()
	}
}

// end says what no later line will say, and closes what the sink opened.
func (s *sink) end(lost int, why error) {
	// A destination that still refuses cannot be told anything.
	_ = s.deliver(nil, lost, why)
	s.destMu.Lock()
	defer s.destMu.Unlock()
	s.over = true
	if s.reopen != nil {
		_ = closeIt(s.dest)
	}
}

// deliver writes the notice of earlier losses, if any, before the batch: a
// reader then finds the gap where it is.
func (s *sink) deliver(batch []byte, lost int, why error) error {
	s.destMu.Lock()
	defer s.destMu.Unlock()
	if lost > 0 && s.notice != nil {
		if _, err := s.dest.Write(s.notice(lost, why)); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	_, err := s.dest.Write(batch)
	return err
}
