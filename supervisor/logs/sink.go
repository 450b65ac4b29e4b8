package logs

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// sinkSize bounds what waits for one destination, in bytes. It holds a burst of the last lines of all workers, and is little
// memory.
const sinkSize = 1 << 20

const (
	// lingerFor is how long lines gather after a small write, so that one write takes all of them. As soon as lingerBelow
	// bytes are pending they are written at once.
	lingerFor   = 5 * time.Millisecond
	lingerBelow = 64 << 10
)

// sink is the bounded queue between all that log and one destination. Its only reader is its own goroutine, so that a paused
// terminal or a full disk never holds up the master's loop.
//
// Three kinds of writers share it and differ in what happens when it is full:
//
//	Write  the master's own lines. It never waits: a line that finds no room is dropped and counted.
//	Line   a worker's output. It waits, so that the worker waits on its pipe. Nothing is lost, and no other worker waits.
//	Offer  the output of a worker whose app has on_full: drop. What finds no room is dropped and counted.
//
// What the destination refuses (a full disk) is dropped and counted as well. A line with the number and the reason follows as
// soon as it accepts again.
type sink struct {
	mu        sync.Mutex
	ready     sync.Cond // something is pending, or closed
	room      sync.Cond // pending has become smaller, or closed
	pending   []byte
	lines     int // lines in pending
	spare     []byte
	queued    uint64    // bytes that were ever added to pending
	written   uint64    // of those, the bytes that the destination has taken or refused
	flushed   sync.Cond // written has grown, or abandoned
	waiting   int       // for flushed
	hurried   bool      // what is pending must not linger
	hurry     chan struct{}
	abandoned bool  // Close has given up on what is pending
	dropped   int   // lines that are lost and not told of yet
	lastErr   error // why the destination refused; nil: there was no room
	closed    bool
	closing   chan struct{} // closed with it
	finished  chan struct{}
	notice    func(lost int, why error) []byte
	// trouble is called when the destination begins to refuse, and with a nil error when it accepts again. It must not wait. It
	// may be nil.
	trouble func(why error, lost int)

	destMu sync.Mutex // held during a write, so that Reopen does not close dest meanwhile
	dest   io.Writer
	over   bool         // nothing more is written
	reopen func() error // opens dest anew; nil: dest belongs to others, and is neither reopened nor closed
}

func newSink(dest io.Writer, reopen func() error, notice func(int, error) []byte) *sink {
	s := &sink{dest: dest, reopen: reopen, notice: notice, closing: make(chan struct{}), finished: make(chan struct{}), hurry: make(chan struct{}, 1)}
	s.ready.L, s.room.L, s.flushed.L = &s.mu, &s.mu, &s.mu
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

// Line queues one line of a worker, given in pieces, and waits while there is no room. ok is false, at once, when the sink is
// closed. mark is for Written.
func (s *sink) Line(pieces ...[]byte) (mark uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > sinkSize/2 && !s.closed {
		s.room.Wait()
	}
	if s.closed {
		return 0, false
	}
	s.add(pieces...)
	return s.queued, true
}

// Offer is Line without the wait. dropped says that there was no room.
func (s *sink) Offer(pieces ...[]byte) (mark uint64, ok, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false, false
	}
	if len(s.pending) > sinkSize/2 {
		s.dropped++
		return s.written, true, true
	}
	s.add(pieces...)
	return s.queued, true, false
}

// Written waits until the destination has taken or refused the line of mark and all before it, and then returns true. If atMost
// is not 0 it waits no longer than that, and returns false. With hurry the lines do not linger. It returns true at once when
// the sink is closed and has given up on them.
func (s *sink) Written(mark uint64, hurry bool, atMost time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written >= mark || s.abandoned {
		return true
	}
	if hurry && !s.hurried {
		s.hurried = true
		select {
		case s.hurry <- struct{}{}:
		default:
		}
	}
	late := false
	if atMost > 0 {
		timer := time.AfterFunc(atMost, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			late = true
			s.flushed.Broadcast()
		})
		defer timer.Stop()
	}
	s.waiting++
	for s.written < mark && !s.abandoned && !late {
		s.flushed.Wait()
	}
	s.waiting--
	return s.written >= mark || s.abandoned
}

// reached returns what Written would, without the wait.
func (s *sink) reached(mark uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written >= mark || s.abandoned
}

// Settle waits, for at most atMost, until all that is queued by now is written.
func (s *sink) Settle(atMost time.Duration) {
	s.mu.Lock()
	mark := s.queued
	s.mu.Unlock()
	s.Written(mark, true, atMost)
}

// lose counts a line that came after the sink was closed and has no other sink.
func (s *sink) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped++
}

func (s *sink) add(pieces ...[]byte) {
	for _, p := range pieces {
		s.pending = append(s.pending, p...)
		s.queued += uint64(len(p))
	}
	s.lines++
	s.ready.Signal()
}

// Reopen opens the destination anew, as SIGUSR1 asks for after a log file was moved away. On an error the old one stays in use.
// It waits for the write in progress, so the loop does not call it.
func (s *sink) Reopen() error {
	if s.reopen == nil {
		return nil
	}
	s.destMu.Lock()
	defer s.destMu.Unlock()
	if s.over {
		return nil
	}
	return s.reopen()
}

func closeIt(w io.Writer) error {
	if c, ok := w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Close writes what is pending, for at most d, with the number of lines that were lost, ends the sink's goroutine and closes the
// destination if it is a file of ours. If the destination does not take it in that time, that is the error, and the goroutine
// goes on until the destination takes it or the process ends.
func (s *sink) Close(d time.Duration) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.ready.Broadcast()
	s.room.Broadcast()
	s.mu.Unlock()
	select {
	case <-s.finished:
		return nil
	case <-time.After(d):
		s.mu.Lock()
		s.abandoned = true
		s.flushed.Broadcast()
		s.mu.Unlock()
		return fmt.Errorf("cannot write the last log lines: the destination took none for %s", d)
	}
}

func (s *sink) run() {
	defer close(s.finished)
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	var before time.Time // when it was written last
	small := false       // what was written then
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
		if small && len(s.pending) < lingerBelow && !s.closed && !s.hurried && time.Since(before) < 2*lingerFor {
			s.mu.Unlock()
			pause.Reset(lingerFor)
			select {
			case <-pause.C:
			case <-s.closing:
			case <-s.hurry:
			}
			s.mu.Lock()
		}
		batch, lines := s.pending, s.lines
		lost, why := s.dropped, s.lastErr
		s.pending, s.lines, s.spare = s.spare[:0], 0, nil
		s.hurried = false
		select {
		case <-s.hurry:
		default:
		}
		s.mu.Unlock()
		s.room.Broadcast()

		err := s.deliver(batch, lost, why)
		before, small = time.Now(), len(batch) < lingerBelow
		if s.trouble != nil && (err == nil) != (why == nil) {
			s.trouble(err, lost)
		}

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
		s.written += uint64(len(batch))
		if s.waiting > 0 {
			s.flushed.Broadcast()
		}
		s.mu.Unlock()
	}
}

// end tells the destination of the last losses, and closes it if it is a file of ours.
func (s *sink) end(lost int, why error) {
	// An error is ignored: a destination that still refuses cannot be told anything.
	_ = s.deliver(nil, lost, why)
	s.destMu.Lock()
	defer s.destMu.Unlock()
	s.over = true
	if s.reopen != nil {
		_ = closeIt(s.dest)
	}
}

// deliver writes the notice of earlier losses, if any, before the batch, so that it stands where the lines are missing.
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
