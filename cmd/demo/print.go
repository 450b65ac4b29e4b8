package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// printer writes numbered lines, so that a test can say whether its output has come through whole.
type printer struct {
	every  time.Duration // between two lines; 0: none are written
	counts string        // folder in which it leaves how many were written; empty: nowhere
}

func printerFromEnv() (printer, error) {
	p := printer{counts: os.Getenv("DEMO_PRINT_COUNTS")}
	if v := os.Getenv("DEMO_PRINT"); v != "" {
		rate, err := strconv.Atoi(v)
		if err != nil || rate < 1 {
			return p, fmt.Errorf("DEMO_PRINT=%s is not a number of lines a second", v)
		}
		p.every = time.Second / time.Duration(rate)
	}
	return p, nil
}

// torn is of how many lines one is written in two halves, with a moment between them.
const torn = 4

// run writes line after line to stderr until the process ends. A line counts as soon as the kernel has all of it: what is
// counted must be found, and at most one more. Each half of a torn one has the number, as the log of package worker may
// come between them.
func (p printer) run() error {
	if p.every == 0 {
		return nil
	}
	pid := os.Getpid()
	var count *os.File
	if p.counts != "" {
		var err error
		if count, err = os.Create(filepath.Join(p.counts, strconv.Itoa(pid))); err != nil {
			return fmt.Errorf("cannot count the lines: %w", err)
		}
	}
	go func() {
		tick := time.NewTicker(p.every)
		var line, n []byte
		for i := uint64(1); ; i++ {
			<-tick.C
			if i%torn == 0 {
				line = fmt.Appendf(line[:0], "half %d of process %d, ", i, pid)
				_, _ = os.Stderr.Write(line)
				time.Sleep(p.every / 4)
			}
			line = fmt.Appendf(line[:0], "line %d of process %d.\n", i, pid)
			if _, err := os.Stderr.Write(line); err != nil {
				return // no reader is left; only lines that were written are counted
			}
			if count != nil {
				n = binary.LittleEndian.AppendUint64(n[:0], i)
				_, _ = count.WriteAt(n, 0)
			}
		}
	}()
	return nil
}
