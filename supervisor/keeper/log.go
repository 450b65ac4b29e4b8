package keeper

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	logQueue = 64          // lines
	logGrace = time.Second // at the end, for a reader that is behind
)

// logger keeps a reader that has stopped reading from stopping the keeper.
type logger struct {
	lines   chan string
	done    chan struct{}
	dropped int
	once    sync.Once
}

func newLogger(w io.Writer) *logger {
	l := &logger{lines: make(chan string, logQueue), done: make(chan struct{})}
	if w == nil {
		w = io.Discard
	}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			_, _ = io.WriteString(w, line) // where it could be told is what has failed
		}
	}()
	return l
}

// say is for one goroutine.
func (l *logger) say(format string, args ...any) {
	line := "keeper: " + fmt.Sprintf(format, args...)
	if l.dropped > 0 {
		line += fmt.Sprintf(" (%d lines before this one were lost)", l.dropped)
	}
	select {
	case l.lines <- line + "\n":
		l.dropped = 0
	default:
		l.dropped++
	}
}

// close waits a moment for what is queued. A Write that blocks for longer keeps its goroutine.
func (l *logger) close() {
	l.once.Do(func() { close(l.lines) })
	select {
	case <-l.done:
	case <-time.After(logGrace):
	}
}
