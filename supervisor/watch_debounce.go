package supervisor

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// mostQuiet is how many times the debounce the first of a row of changes waits at
// most: a file that is written all the time must not put off the rollout for ever.
const mostQuiet = 25

// debounce gathers changes until it has been quiet for a while.
type debounce struct {
	quiet       time.Duration
	first, last time.Time // of the changes that are gathered; zero: none
	file        string    // the first of them
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

// deadline is when what was gathered is told; zero: there is nothing.
func (d *debounce) deadline() time.Time {
	if d.first.IsZero() {
		return time.Time{}
	}
	quiet, most := d.last.Add(d.quiet), d.first.Add(mostQuiet*d.quiet)
	if most.Before(quiet) {
		return most
	}
	return quiet
}

// take ends the row and says what has changed, in words.
func (d *debounce) take() string {
	text := d.file
	switch n := len(d.others); {
	case n == 1:
		text += " and 1 more"
	case n > 1:
		text += fmt.Sprintf(" and %d more", n)
	}
	*d = debounce{quiet: d.quiet}
	return text
}

// alwaysIgnored is what no watch looks at, beside its own patterns.
var alwaysIgnored = []string{".git", "node_modules", "*.log", "*~", "*.swp"}

// ignored says whether a file is not watched. below is its path below the watched
// folder, with slashes. A pattern with a slash is for all of that, any other for the
// name of the file and of each folder above it.
func ignored(below string, patterns []string) bool {
	names := strings.Split(below, "/")
	for _, all := range [][]string{alwaysIgnored, patterns} {
		for _, p := range all {
			if strings.Contains(p, "/") {
				// A folder of that path takes all below it along.
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
