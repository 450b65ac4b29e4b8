package proc

import (
	"bytes"
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

// pump turns one stream of a process into lines. Its buffer holds one line, starts small, grows while the process prints
// much, and is bounded by the longest line that is delivered in one piece. What it holds may still be in the pipe: a line
// leaves that only when it is written.
type pump struct {
	stream
	deliver  LineFunc
	max      int
	reserved int // bytes of longLines
	last     lastLine
	tail     *tail // of the process; nil: nobody asks
}

// longLines is how many bytes of buffers are beyond usualBuffer, of all streams of this process.
var longLines atomic.Int64

// mayGrow says whether a buffer may become that large, and reserves it.
func (p *pump) mayGrow(size int) bool {
	more := size - usualBuffer - p.reserved
	if more <= 0 {
		return true
	}
	if longLines.Add(int64(more)) > mostOfLong {
		longLines.Add(int64(-more))
		return false
	}
	p.reserved += more
	return true
}

// next is the size after size.
func (p *pump) next(size int) int {
	bigger := min(2*size, p.max+1)
	if size < usualBuffer {
		return min(bigger, usualBuffer)
	}
	return bigger
}

// release gives back what is reserved, once the buffer is no larger than usual.
func (p *pump) release() {
	longLines.Add(int64(-p.reserved))
	p.reserved = 0
}

func (p *pump) run() {
	defer func() {
		p.release()
		p.ended = true
		p.settle()
		p.close()
	}()
	limit := p.max + 1 // one more, so that a line of exactly max bytes is whole
	buf := make([]byte, min(smallBuffer, limit))
	held := 0     // bytes in buf that are not delivered
	long := false // the line that they belong to has been delivered in part
	calm := 0
	for {
		n, err := p.read(buf, held)
		full := held+n == len(buf)
		seen := held // there is no newline before this
		held += n
		rest := buf[:held]
		for {
			i := bytes.IndexByte(rest[seen:], '\n')
			if i < 0 {
				break
			}
			if p.ahead >= len(rest) && p.quits() { // it is in the pipe, for the next
				p.keep(len(rest))
				return
			}
			p.line(rest[:seen+i], long, false)
			rest, seen, long = rest[seen+i+1:], 0, false
		}
		if len(rest) == limit || len(rest) == len(buf) && !p.mayGrow(p.next(len(buf))) {
			last := len(rest) - 1 // stays, so that no piece is empty when a newline follows
			p.line(rest[:last], long, true)
			rest, long = rest[last:], true
		}
		if err == errQuit {
			if gone := rest[:max(len(rest)-p.ahead, 0)]; len(gone) > 0 { // from the pipe: the next would not see it
				p.line(gone, long, true)
			}
			return
		}
		if err != nil {
			if len(rest) > 0 || long {
				p.line(rest, long, false)
			}
			p.keep(0)
			return
		}
		p.keep(len(rest))

		calm++
		if full || n > smallBuffer/2 || len(rest) > smallBuffer/2 {
			calm = 0
		}
		switch {
		case len(buf) > usualBuffer && len(rest) < usualBuffer: // the long line is over
			usual := make([]byte, usualBuffer)
			held = copy(usual, rest)
			buf = usual
			p.release()
		case full && len(buf) < limit && (len(buf) < usualBuffer || len(rest) == len(buf)):
			grown := make([]byte, p.next(len(buf)))
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

func (p *pump) line(line []byte, continued, more bool) {
	if !continued && p.last.add(line) && p.tail != nil {
		p.tail.add(line)
	}
	p.deliver(line, more)
}
