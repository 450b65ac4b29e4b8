package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// journal remembers with times what the monkey did and what the master logged. The
// report on a lost request quotes from it.
type journal struct {
	started time.Time
	print   io.Writer // nil: nowhere

	mu    sync.Mutex
	lines []line
}

type line struct {
	at   time.Time
	text string
}

func newJournal(verbose bool, out io.Writer) *journal {
	j := &journal{started: time.Now()}
	if verbose {
		j.print = out
	}
	return j
}

// act notes an action of the monkey, said a line of the master.
func (j *journal) act(format string, args ...any) { j.add("▶ " + fmt.Sprintf(format, args...)) }
func (j *journal) said(text string)               { j.add("  " + text) }

func (j *journal) add(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := line{time.Now(), text}
	j.lines = append(j.lines, l)
	if j.print != nil {
		fmt.Fprintln(j.print, j.format(l))
	}
}

func (j *journal) format(l line) string { return j.stamp(l.at) + " " + l.text }

// stamp returns a time as the time since the beginning of the run.
func (j *journal) stamp(t time.Time) string { return fmt.Sprintf("%9.4f", t.Sub(j.started).Seconds()) }

// around returns the lines from one time to another.
func (j *journal) around(from, to time.Time) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if !l.at.Before(from) && !l.at.After(to) {
			found = append(found, j.format(l))
		}
	}
	return found
}
