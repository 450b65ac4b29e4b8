package master

import (
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/launch"
)

// A release is what the workers of a generation are started from: see generation. Whatever starts another worker of that
// generation - a crash, a scale, a standby, a drained slot that is filled again, a later master - starts the release. Only
// a rollout takes what is on disk: a reload, SIGUSR2, a config that is applied, a watched file that changed, cron_restart; and so
// does the start of an app that does not run, a one-shot's next run among them. A rollback is a rollout to the release before.

// releaseOf is what describe shows of a generation.
func releaseOf(number int, g *launch.Generation) *control.Release {
	if g == nil || g.Resolved.Load() == nil {
		return nil
	}
	c := g.Resolved.Load().Command
	r := &control.Release{Generation: number, Program: c.Path, Folder: c.Dir, Since: g.At.Round(time.Millisecond), Rollback: g.Back, Unpinned: []string{}}
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
