package launch

import (
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// Shown is what readers see of the releases: of the one that runs, by the number of its generation, and of the one before. nil: it is
// not known yet, or there is none.
func (r *Releases) Shown(running int) (now, previous *api.Release) {
	now = r.byNumber[running].Shown(running)
	if previous = r.previous.Shown(0); previous != nil && !r.until.IsZero() {
		until := r.until.Round(time.Millisecond)
		previous.Until = &until
	}
	return now, previous
}

// Shown is what readers see of a generation as a release. nil: it was not resolved yet, or g is nil.
func (g *Generation) Shown(number int) *api.Release {
	if g == nil || g.Resolved.Load() == nil {
		return nil
	}
	c := g.Resolved.Load().Command
	r := &api.Release{Generation: number, Program: c.Path, Folder: c.Dir, Since: g.At.Round(time.Millisecond), Rollback: g.Back, Unpinned: []string{}}
	switch {
	case c.Script:
		r.Unpinned = append(r.Unpinned, c.Path+" is a script: it is read from disk at each start")
	case g.Pinned() && c.Pinned.Program == nil:
		r.Unpinned = append(r.Unpinned, c.Path+" is not held open: it is started as it is on disk")
	}
	for _, arg := range c.Reads {
		r.Unpinned = append(r.Unpinned, arg+", an argument, is a file: it is read from disk")
	}
	return r
}
