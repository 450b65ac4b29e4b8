package output

import (
	"bytes"
	"os"
	"sync/atomic"
)

const (
	smallBuffer = 4 << 10
	// usualBuffer is how much each stream may hold. What longer lines need beyond it comes out of longLines, which is for
	// all streams together, so that a thousand workers cannot make the master hold a thousand long lines.
	usualBuffer = 64<<10 + 1
	mostOfLong  = 32 << 20
	// idleReads is how many reads in a row must have fitted into a small buffer before a large one is given back.
	idleReads = 32
)

// Config is what a [Reader] needs beside its pipe.
type Config struct {
	Line    LineFunc
	Written WrittenFunc // nil: a line is written when Line has returned
	MaxLine int         // bytes of the longest line that comes in one piece; 0: DefaultMaxLine

	Exited <-chan struct{} // closed when the process has exited: what is left in the pipe is read without pause; nil: never
	Left   <-chan struct{} // closed when the pipe is left to another process; nil: never
	Tail   *Tail           // of the process, gets the lines too; nil: none
}

// Reader turns one stream of a process into lines. Its buffer holds one line, starts small, grows while the process prints
// much, and is bounded by the longest line that is delivered in one piece. What it holds may still be in the pipe: a line
// leaves that only when it is written.
type Reader struct {
	stream
	deliver  LineFunc
	max      int
	reserved int // bytes of longLines
	last     lastLine
	tail     *Tail
}

// NewReader returns a Reader of the read end f, which it owns: [Reader.Run] closes it at its end, [Reader.Close] does where
// Run is never called.
func NewReader(f *os.File, c Config) *Reader {
	if c.MaxLine <= 0 {
		c.MaxLine = DefaultMaxLine
	}
	return &Reader{
		stream:  stream{file: f, exited: c.Exited, left: c.Left, written: c.Written},
		deliver: c.Line, max: c.MaxLine, tail: c.Tail,
	}
}

// longLines is how many bytes of buffers are beyond usualBuffer, of all streams of this process together.
var longLines atomic.Int64

// mayGrow reports whether a buffer may become that large, and reserves it.
func (r *Reader) mayGrow(size int) bool {
	more := size - usualBuffer - r.reserved
	if more <= 0 {
		return true
	}
	if longLines.Add(int64(more)) > mostOfLong {
		longLines.Add(int64(-more))
		return false
	}
	r.reserved += more
	return true
}

// next is the size after size.
func (r *Reader) next(size int) int {
	bigger := min(2*size, r.max+1)
	if size < usualBuffer {
		return min(bigger, usualBuffer)
	}
	return bigger
}

// release gives back what is reserved, once the buffer is no larger than usual.
func (r *Reader) release() {
	longLines.Add(int64(-r.reserved))
	r.reserved = 0
}

// LastLine returns the line that best explains an exit: the headline of a Go crash, else the last line that is not blank;
// at most 1 KiB. It may be called from any goroutine.
func (r *Reader) LastLine() string { return r.last.line() }

// Run reads to the end of the pipe, until Stop or until the stream is left. It returns when all that was delivered is
// written.
func (r *Reader) Run() {
	defer func() {
		r.release()
		r.ended = true
		r.settle()
		r.Close()
	}()
	limit := r.max + 1 // one more, so that a line of exactly max bytes is whole
	buf := make([]byte, min(smallBuffer, limit))
	held := 0     // bytes in buf that are not delivered
	long := false // the line that they belong to has been delivered in part
	calm := 0
	for {
		n, err := r.read(buf, held)
		full := held+n == len(buf)
		seen := held // there is no newline before this
		held += n
		rest := buf[:held]
		for {
			i := bytes.IndexByte(rest[seen:], '\n')
			if i < 0 {
				break
			}
			if r.ahead >= len(rest) && r.quits() { // it is in the pipe, for the next
				r.keep(len(rest))
				return
			}
			r.line(rest[:seen+i], long, false)
			rest, seen, long = rest[seen+i+1:], 0, false
		}
		if len(rest) == limit || len(rest) == len(buf) && !r.mayGrow(r.next(len(buf))) {
			last := len(rest) - 1 // stays, so that no piece is empty when a newline follows
			r.line(rest[:last], long, true)
			rest, long = rest[last:], true
		}
		if err == ErrLeft {
			if gone := rest[:max(len(rest)-r.ahead, 0)]; len(gone) > 0 { // from the pipe: the next would not see it
				r.line(gone, long, true)
			}
			return
		}
		if err != nil {
			if len(rest) > 0 || long {
				r.line(rest, long, false)
			}
			r.keep(0)
			return
		}
		r.keep(len(rest))

		calm++
		if full || n > smallBuffer/2 || len(rest) > smallBuffer/2 {
			calm = 0
		}
		switch {
		case len(buf) > usualBuffer && len(rest) < usualBuffer: // the long line is over
			usual := make([]byte, usualBuffer)
			held = copy(usual, rest)
			buf = usual
			r.release()
		case full && len(buf) < limit && (len(buf) < usualBuffer || len(rest) == len(buf)):
			grown := make([]byte, r.next(len(buf)))
			held = copy(grown, rest)
			buf = grown
		case calm == idleReads && len(buf) > smallBuffer:
			small := make([]byte, smallBuffer)
			held = copy(small, rest)
			buf = small
		default:
			held = copy(buf, rest)
		}
	}
}

func (r *Reader) line(line []byte, continued, more bool) {
	if !continued && r.last.add(line) && r.tail != nil {
		r.tail.add(line)
	}
	r.deliver(line, more)
}
