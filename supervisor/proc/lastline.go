package proc

import (
	"bytes"
	"sync"
)

// maxLastLine bounds what is kept of the line that explains an exit.
const maxLastLine = 1 << 10

// lastLine remembers the line of one stream that best explains an exit. Normally that is the last one that is not
// blank. A Go program that crashes prints its reason first and the stacks of its goroutines after it: then it is the
// reason.
type lastLine struct {
	mu    sync.Mutex
	text  []byte
	crash crashState
}

type crashState int

const (
	noCrash    crashState = iota
	mayBeCrash            // a line that looks like the reason of a crash came last
	isCrash               // stacks follow it: nothing that comes later explains more
)

func (l *lastLine) add(line []byte) {
	line = line[:min(len(line), maxLastLine)]
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.crash == isCrash:
		return
	case hasPrefix(line, "panic: ", "fatal error: "):
		l.crash = mayBeCrash
	case l.crash == mayBeCrash && hasPrefix(line, "goroutine "):
		l.crash = isCrash
		return
	case l.crash == mayBeCrash && hasPrefix(line, "[", "\t", "runtime: "):
		return // what may stand between the reason and the stacks
	default:
		l.crash = noCrash
	}
	l.text = append(l.text[:0], line...)
}

func (l *lastLine) line() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.text))
}

func hasPrefix(line []byte, prefixes ...string) bool {
	for _, p := range prefixes {
		if len(line) >= len(p) && string(line[:len(p)]) == p {
			return true
		}
	}
	return false
}
