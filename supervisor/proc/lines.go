package proc

import "bytes"

const (
	smallBuffer = 4 << 10
	// idleReads is how many reads in a row must have fitted into a small buffer before a large one is given back.
	idleReads = 32
)

// pump turns one stream of a process into lines. Its buffer holds one line, starts small, grows while the process prints
// much, and is bounded by the longest line that is delivered in one piece. What it holds may still be in the pipe: a line
// leaves that only when it is written.
type pump struct {
	stream
	deliver LineFunc
	max     int
	last    lastLine
	tail    *tail // of the process; nil: nobody asks
}

func (p *pump) run() {
	defer func() {
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
		if len(rest) == limit {
			p.line(rest[:p.max], long, true)
			rest, long = rest[p.max:], true
		}
		if err == errQuit {
			if gone := rest[:max(len(rest)-p.ahead, 0)]; len(gone) > 0 { // from the pipe: the next would not see it
				p.line(gone, long, false)
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
		case full && len(buf) < limit:
			grown := make([]byte, min(2*len(buf), limit))
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
