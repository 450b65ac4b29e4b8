package keeper

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	logQueue = 64                    // lines
	logGrace = time.Second           // at the end, for a reader that is behind
	logPause = 50 * time.Millisecond // before a process is told to write to the same stream
)

// logger keeps a reader that has stopped reading from stopping the keeper.
type logger struct {
	lines   chan string
	written chan struct{} // told after each Write; holds one word
	done    chan struct{}
	json    bool
	pending atomic.Int32 // lines that are queued or being written
	dropped int
	once    sync.Once
}

func newLogger(w io.Writer, json bool) *logger {
	l := &logger{lines: make(chan string, logQueue), written: make(chan struct{}, 1), done: make(chan struct{}), json: json}
	if w == nil {
		w = io.Discard
	}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			_, _ = io.WriteString(w, line) // where it could be told is what has failed
			l.pending.Add(-1)
			select {
			case l.written <- struct{}{}:
			default:
			}
		}
	}()
	return l
}

// say logs what an administrator may have to look into. It is for one goroutine.
func (l *logger) say(format string, args ...any) { l.write(fmt.Sprintf(format, args...), false) }

func (l *logger) write(text string, calm bool) {
	line := "keeper: " + text
	if l.dropped > 0 {
		line += fmt.Sprintf(" (%d lines before this one were lost)", l.dropped)
	}
	if l.json {
		line = object(line, calm, time.Now())
	}
	l.pending.Add(1)
	select {
	case l.lines <- line + "\n":
		l.dropped = 0
	default:
		l.pending.Add(-1)
		l.dropped++
	}
}

// object is a line as the master writes its own. The encoder of the library would take more memory than the keeper has use for.
func object(text string, calm bool, now time.Time) string {
	level := "warn"
	if calm {
		level = "info"
	}
	b := fmt.Appendf(nil, `{"level":"%s","keeper":%d,"time":"%s","message":"`, level, os.Getpid(), now.Format("2006-01-02T15:04:05.000Z07:00"))
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(append(b, `"}`...))
}

// settle returns when what was said is written, at the latest after logPause. A process that is aborted prints its
// goroutines in many small writes to the same stream: a line that is written meanwhile lands in the middle of one of them.
func (l *logger) settle() {
	for late := time.After(logPause); l.pending.Load() > 0; {
		select {
		case <-l.written:
		case <-late:
			return
		}
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
