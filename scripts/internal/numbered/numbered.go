// Package numbered finds out whether the numbered lines that the demo prints (DEMO_PRINT and DEMO_PRINT_COUNTS of
// cmd/demo) are all in a log.
package numbered

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
)

// Lines counts how often each process's lines were found. The zero value is ready; it is safe for concurrent use.
type Lines struct {
	mu           sync.Mutex
	whole, halve map[int][]uint8 // by PID; index: the line's number - 1; halve: of the torn ones, their beginning
}

// line finds one wherever it is: a master that is killed may leave a torn line of the log before it.
var line = regexp.MustCompile(`(half|line) (\d+) of process (\d+)[.,]`)

// maxLine bounds what a number that was read wrongly can cost.
const maxLine = 10_000_000

// Find notes all lines in text, whatever is around them.
func (l *Lines) Find(text string) {
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		n, err1 := strconv.Atoi(m[2])
		pid, err2 := strconv.Atoi(m[3])
		if err1 != nil || err2 != nil || n < 1 || n > maxLine {
			continue
		}
		l.mu.Lock()
		if l.whole == nil {
			l.whole, l.halve = map[int][]uint8{}, map[int][]uint8{}
		}
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
func (l *Lines) times(pid, n int) int {
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

// Count is what became of all lines.
type Count struct {
	Processes int
	Written   int     // by their own count
	Missing   int     // of them
	Twice     int     // found once too often, each time
	Lost      []error // for each process that lacks some
}

// Count compares with what the processes have counted themselves, in the files of dir, once the log has ended. Numbers of
// processes must not have been used twice.
func (l *Lines) Count(dir string) (c Count, err error) {
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
			return c, fmt.Errorf("cannot read how many lines process %d has written: %w", pid, err)
		}
		c.Processes++
		n := 0
		if len(b) == 8 {
			n = int(binary.LittleEndian.Uint64(b))
		}
		c.Written += n
		missing, first, last := 0, 0, 0
		for i := 1; i <= n; i++ {
			switch found := l.times(pid, i); {
			case found == 0:
				if missing++; first == 0 {
					first = i
				}
				last = i
			case found > 1:
				c.Twice += found - 1
			}
		}
		c.Missing += missing
		if missing > 0 {
			c.Lost = append(c.Lost, fmt.Errorf("%d of %d lines of process %d are not in the log: from %d to %d", missing, n, pid, first, last))
		}
	}
	return c, nil
}
