package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
)

// printRate is how many numbered lines each worker prints a second: now and then one in two halves, so that a master is
// also killed while half a line is in a pipe.
const printRate = 50

// lines counts how often each worker's numbered lines were found in the log.
type lines struct {
	mu           sync.Mutex
	whole, halve map[int][]uint8 // by PID; index: the line's number - 1; halve: of the torn ones, their beginning
}

func newLines() *lines { return &lines{whole: map[int][]uint8{}, halve: map[int][]uint8{}} }

// numbered finds a line wherever it is: a master that is killed may leave a torn line of the log before it.
var numbered = regexp.MustCompile(`(half|line) (\d+) of process (\d+)[.,]`)

// maxLine bounds what a number that was read wrongly can cost.
const maxLine = 10_000_000

func (l *lines) find(text string) {
	for _, m := range numbered.FindAllStringSubmatch(text, -1) {
		n, err1 := strconv.Atoi(m[2])
		pid, err2 := strconv.Atoi(m[3])
		if err1 != nil || err2 != nil || n < 1 || n > maxLine {
			continue
		}
		l.mu.Lock()
		seen := l.whole
		if m[1] == "half" {
			seen = l.halve
		}
		s := seen[pid]
		for len(s) < n {
			s = append(s, 0)
		}
		if s[n-1] < 255 {
			s[n-1]++
		}
		seen[pid] = s
		l.mu.Unlock()
	}
}

// torn is of how many lines the demo writes one in two halves.
const torn = 4

// times is how often line n of a worker was found, with both halves.
func (l *lines) times(pid, n int) int {
	at := func(s []uint8) int {
		if n > len(s) {
			return 0
		}
		return int(s[n-1])
	}
	if n%torn != 0 {
		return at(l.whole[pid])
	}
	return min(at(l.whole[pid]), at(l.halve[pid]))
}

// lineCount is what became of all lines.
type lineCount struct {
	workers, written, missing, twice int
	lost                             []error // for each worker that lacks some
}

// count compares with what the workers have counted themselves, in the files of dir. Once the log has ended.
func (l *lines) count(dir string) (c lineCount, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return c, fmt.Errorf("cannot read how many lines were written: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range files {
		pid, err := strconv.Atoi(f.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return c, fmt.Errorf("cannot read how many lines worker %d has written: %w", pid, err)
		}
		c.workers++
		n := 0
		if len(b) == 8 {
			n = int(binary.LittleEndian.Uint64(b))
		}
		c.written += n
		missing, first, last := 0, 0, 0
		for i := 1; i <= n; i++ {
			switch found := l.times(pid, i); {
			case found == 0:
				if missing++; first == 0 {
					first = i
				}
				last = i
			case found > 1:
				c.twice += found - 1
			}
		}
		c.missing += missing
		if missing > 0 {
			c.lost = append(c.lost, fmt.Errorf("%d of %d lines of worker %d are not in the log: from %d to %d", missing, n, pid, first, last))
		}
	}
	return c, nil
}

// makeCounts makes the folder in which the workers count.
func makeCounts(dir string) (string, error) {
	counts := filepath.Join(dir, "counts")
	if err := os.Mkdir(counts, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cannot make a folder for counts: %w", err)
	}
	return counts, nil
}
