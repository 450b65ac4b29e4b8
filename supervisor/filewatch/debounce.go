package filewatch

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// mostQuiet times the debounce is the longest wait of the first of a row of changes: a file that is written all the time must
// not put off the rollout for ever.
const mostQuiet = 25

// An app that writes files which it has watched would be replaced for ever. After stormFree rows of changes, each within
// stormSpan of the report of the one before, the next one waits: leastStorm, then doubling up to mostStorm.
const (
	stormFree  = 10
	stormSpan  = 10 * time.Second
	leastStorm = time.Second
	mostStorm  = 30 * time.Second
)

// debounce gathers changes until it has been quiet for a while.
type debounce struct {
	quiet       time.Duration
	told        time.Time // when the last row was reported
	rows        int       // rows that were reported shortly after one another
	first, last time.Time // times of the changes in the current row; zero: none
	file        string    // of the first change
	others      map[string]bool
}

func (d *debounce) add(now time.Time, file string) {
	if d.first.IsZero() {
		d.first, d.file, d.others = now, file, map[string]bool{}
	} else if file != d.file && len(d.others) < maxNamed {
		d.others[file] = true
	}
	d.last = now
}

// maxNamed bounds how many files of one row are counted.
const maxNamed = 1000

// deadline returns when the current row is reported; zero: there is none.
func (d *debounce) deadline() time.Time {
	if d.first.IsZero() {
		return time.Time{}
	}
	due := d.last.Add(d.quiet)
	if most := d.first.Add(mostQuiet * d.quiet); most.Before(due) {
		due = most
	}
	if paced := d.told.Add(d.pace()); paced.After(due) {
		return paced
	}
	return due
}

// pace returns the least time between the report of the last row and that of the next.
func (d *debounce) pace() time.Duration {
	if d.rows < stormFree {
		return 0
	}
	pace := leastStorm
	for i := stormFree; i < d.rows && pace < mostStorm; i++ {
		pace *= 2
	}
	return min(pace, mostStorm)
}

// take ends the row and returns what has changed, in words. storm says that from now on rows wait.
func (d *debounce) take(now time.Time) (what string, storm bool) {
	text := d.file
	switch n := len(d.others); {
	case n == 1:
		text += " and 1 more"
	case n > 1:
		text += fmt.Sprintf(" and %d more", n)
	}
	if now.Sub(d.told) < d.pace()+stormSpan {
		d.rows++
	} else {
		d.rows = 0
	}
	*d = debounce{quiet: d.quiet, told: now, rows: d.rows}
	return text, d.rows == stormFree
}

// alwaysIgnored are patterns that every watch ignores beside its own.
var alwaysIgnored = []string{".git", "node_modules", "*.log", "*~", "*.swp"}

// ignored reports whether a file is not watched. below is its path below the watched folder, with slashes. A pattern with a slash
// is matched with that path and those of the folders above it, any other with the name of the file and of each folder above it.
func ignored(below string, patterns []string) bool {
	names := strings.Split(below, "/")
	for _, all := range [][]string{alwaysIgnored, patterns} {
		for _, p := range all {
			if strings.Contains(p, "/") {
				// A folder that matches takes all below it along.
				for n := range names {
					if ok, _ := path.Match(strings.Trim(p, "/"), strings.Join(names[:n+1], "/")); ok {
						return true
					}
				}
				continue
			}
			for _, name := range names {
				if ok, _ := path.Match(p, name); ok {
					return true
				}
			}
		}
	}
	return false
}
