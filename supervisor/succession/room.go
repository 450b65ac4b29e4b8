package succession

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/keeper"
)

// Shortage is what a store has no room for. A store that is full, or loses a file on the way, answers nothing when it is given the
// file: what is missing would show when the master has crashed, by the workers that are lost. So the store is asked. The zero value is a
// store that has all.
type Shortage struct {
	Missing         []string // names of which the store has no file, or not all; sorted
	Files, MaxFiles int      // that the store has, and the most
}

// Look is what follows from an answer of the store.
type Look struct {
	New    []string // names that were not missing before, sorted
	Begins bool     // something is missing, and nothing was before
	Ends   bool     // nothing is missing any more
	Again  []string // names that are stored again, in this order, as there is room for them
}

// Look takes in the answer of a store. files is how many files there are to be stored under a name; 0: nothing has that name any more.
// What does not fit has all after it wait, so that it is not overtaken for ever.
func (s *Shortage) Look(r keeper.Room, files func(name string) int) (l Look) {
	before := s.Missing
	*s = Shortage{slices.Sorted(slices.Values(r.Refused)), r.Files, r.MaxFiles}
	free := s.MaxFiles - s.Files
	for _, name := range s.Missing {
		if _, found := slices.BinarySearch(before, name); !found {
			l.New = append(l.New, name)
		}
		if n := files(name); n > 0 {
			if free -= n; free >= 0 {
				l.Again = append(l.Again, name)
			}
		}
	}
	l.Begins, l.Ends = len(before) == 0 && len(s.Missing) > 0, len(before) > 0 && len(s.Missing) == 0
	return l
}

// Full says how full the store is.
func (s *Shortage) Full() string {
	return fmt.Sprintf("it has %d of at most %d descriptors", s.Files, s.MaxFiles)
}

// Loss says what a crash of the master would lose; empty: nothing. workers is how many of the missing ones still run, store is what
// the store is called.
func (s *Shortage) Loss(workers int, store string) string {
	others := 0
	for _, name := range s.Missing {
		if !strings.HasPrefix(name, WorkerPrefix) {
			others++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{workers, "worker"}, {others, "other file"}} {
		if p.n > 1 {
			p.what += "s"
		}
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("a crash of the master would lose %s, which the %s has no room for: %s", strings.Join(parts, " and "), store, s.Full())
}
