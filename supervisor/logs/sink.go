package logs

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// sinkSize bounds what waits for one destination, in bytes. It is large enough
// to take a burst of every worker's last words and small enough to forget.
const sinkSize = 1 << 20

const (
	// lingerFor is how long lines gather for a destination that has just been given a
	// few: one write is for all of them. More than lingerBelow bytes do not wait.
	lingerFor   = 5 * time.Millisecond
	lingerBelow = 64 << 10
)

// sink is the bounded queue between everybody who logs and one destination.
// Its only reader is its own goroutine, so that a terminal that was paused or a
// disk that is full never holds up the supervisor's loop.
//
// Three kinds of writers share it and differ in what happens when it is full:
//
//	Write  the master's own lines. Never waits; a line that finds no room is
//	       dropped and counted, because the loop must not stall.
//	Line   a worker's output. Waits, which in turn makes that worker wait on
//	       its pipe; nothing of it is lost and nobody else notices.
//	Offer  the output of a worker that must not wait, as its app's config says.
//	       What finds no room is dropped and counted.
//
// What the destination refuses (a full disk) is dropped and counted as well; a
// line with the number and the reason follows as soon as it accepts again.
type sink struct {
	mu      sync.Mutex
	ready   sync.Cond // something is pending, or closed
	room    sync.Cond // pending has become smaller, or closed
	pending []byte
	lines   int // lines in pending
	spare   []byte
	queued  uint64    // bytes that were ever added to pending
	written uint64    // of those, the bytes that the destination has taken or refused
	flushed sync.Cond // written has grown, or abandoned
	waiting int       // for flushed
	hurried bool      // what is pending must not linger
	hurry   chan struct{}
	// abandoned: whoever has closed it does not wait any longer for what is pending
	abandoned bool
	dropped   int   // lines that nobody will see
	lastErr   error // why the destination refused; nil: there was no room
	closed    bool
	closing   chan struct{} // closed with it
	finished  chan struct{}
	notice    func(lost int, why error) []byte
	// trouble, which may be nil, is told when the destination begins to refuse, and
	// with a nil error when it accepts again. It must not wait.
	trouble func(why error, lost int)

	destMu sync.Mutex // held over a write, so that Reopen never closes under it
	dest   io.Writer
	over   bool         // nothing more is written
	reopen func() error // opens dest anew; nil: it is not ours to reopen, nor to close
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

// Line queues a worker's output, given in pieces that belong together, and waits
// while there is no room. It returns false, at once, when the sink is closed. mark is
// for Written.
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

// Offer is Line without the wait; dropped: there was no room.
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

// Written waits until the line that mark came with, and all before it, are with the
// destination, or it has refused them; at most so long, if atMost is not 0: then it may be
// false. With hurry they do not linger. It returns at once when the sink was closed and has
// given up on them.
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

// reached is Written without the wait.
func (s *sink) reached(mark uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written >= mark || s.abandoned
}

// Settle is Written for all that is queued by now.
func (s *sink) Settle(atMost time.Duration) {
	s.mu.Lock()
	mark := s.queued
	s.mu.Unlock()
	s.Written(mark, true, atMost)
}

// lose counts a line that came too late for this sink and has no other.
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

// Reopen opens the destination anew, as SIGUSR1 asks for after a log file was moved
// away. On an error the old one stays in use. It waits for the write in progress: not
// for the loop to call.
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

// Close writes what is pending, for at most d, says what was lost at the very end,
// ends the sink's goroutine and closes a destination that the sink has opened. A
// destination that does not take it in that time keeps the goroutine, which then
// ends with the process.
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
