package output

import (
	"bytes"
	"slices"
	"sync"
)

const (
	maxLastLine  = 1 << 10 // bytes of one line that explains an exit
	maxLastLines = 20      // and of those around it
	maxTail      = 4 << 10 // bytes of those lines
)

// lastLine remembers the line of one stream that best explains an exit. Normally that is the last one that is not
// blank. A Go program that crashes prints its reason first and the stacks of its goroutines after it: then it is the
// reason.
type lastLine struct {
	mu     sync.Mutex
	text   []byte
	crash  crashState
	stacks int // lines since it is known to be a crash
}

type crashState int

const (
	noCrash    crashState = iota
	mayBeCrash            // a line that looks like the reason of a crash came last
	isCrash               // stacks follow it: nothing that comes later explains more
)

// add reports whether the line is worth a place among the last ones: of all the stacks that follow a crash only the first.
func (l *lastLine) add(line []byte) bool {
	line = line[:min(len(line), maxLastLine)]
	if blank(line) {
		return l.crash != isCrash
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.crash == isCrash:
		l.stacks++
		return l.stacks < maxLastLines-5 // the headline and what stands between it and the stacks comes before
	case hasPrefix(line, "panic: ", "fatal error: "):
		l.crash = mayBeCrash
	case l.crash == mayBeCrash && hasPrefix(line, "goroutine "):
		l.crash = isCrash
		return true
	case l.crash == mayBeCrash && hasPrefix(line, "[", "\t", "runtime: "):
		return true // what may stand between the reason and the stacks
	default:
		l.crash = noCrash
	}
	l.text = append(l.text[:0], line...)
	return true
}

// blank is cheap for the usual line, whose first byte is text.
func blank(line []byte) bool {
	return len(line) == 0 || line[0] <= ' ' && len(bytes.TrimSpace(line)) == 0
}

func (l *lastLine) line() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.text))
}

func hasPrefix(line []byte, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return len(line) >= len(p) && string(line[:len(p)]) == p })
}

// Tail keeps the last lines of a process, of both its streams in the order in which they were read. Its zero value is empty
// and uses no memory. Its methods may be called from any goroutine.
type Tail struct {
	mu   sync.Mutex
	text []byte // whole lines with their newlines; the last maxTail bytes of it count
}

func (t *Tail) add(line []byte) {
	line = line[:min(len(line), maxLastLine)]
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text)+len(line) >= 2*maxTail {
		kept := t.text[len(t.text)-maxTail:]
		t.text = append(t.text[:0], kept[bytes.IndexByte(kept, '\n')+1:]...)
	}
	t.text = append(append(t.text, line...), '\n')
}

// Lines returns the last lines, separated by newlines: at most 20 lines and 4 KiB, bytes as they were written, of each line
// at most the first 1 KiB. Of a Go crash they are the headline and what follows it first.
func (t *Tail) Lines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimRight(t.text, "\n")
	from := len(text)
	for n := 0; n < maxLastLines && from > 0; n++ {
		next := bytes.LastIndexByte(text[:max(from-1, 0)], '\n') + 1
		if len(text)-next > maxTail {
			break
		}
		from = next
	}
	return string(text[from:])
}
