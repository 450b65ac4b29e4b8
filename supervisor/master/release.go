package master

import (
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
)

// A release is what the workers of a generation are started from: see generation. Whatever starts another worker of that
// generation - a crash, a scale, a standby, a drained slot that is filled again, a later master - starts the release. Only
// a rollout takes what is on disk: a reload, SIGUSR2, a config that is applied, a watched file that changed, cron_restart; and so
// does the start of an app that does not run, a one-shot's next run among them. A rollback is a rollout to the release before.

// dropUnheld lets go of those of before that nothing can start any more.
func (l *loop) dropUnheld(a *crew.App, before []*launch.Generation) {
	held := a.GenerationsHeld()
	for _, g := range before {
		if !slices.Contains(held, g) {
			g.Drop(l.s.pins)
		}
	}
}

// resolveGeneration makes the generation that a rollout takes. One that is there stays: it was begun below an earlier master.
func (l *loop) resolveGeneration(a *crew.App, e pool.Resolve) {
	before := a.GenerationsHeld()
	st := a.Pool.Status()
	a.Current = a.Generations[st.Generation]
	a.Forget(st, e.Generation)
	if a.Generations[e.Generation] == nil {
		g := launch.New(a.Config)
		if e.Back {
			for _, old := range []*launch.Generation{a.BackTo, a.Previous, a.Current} {
				if old != nil {
					g = old.Again(l.s.pins)
					break
				}
			}
			a.BackTo = nil
		}
		a.Generations[e.Generation] = g
	}
	l.dropUnheld(a, before)
	a.History.LastGeneration = max(a.History.LastGeneration, e.Generation)
}

// released remembers the release that a rollout has replaced. One that has replaced it by the same changes nothing.
func (l *loop) released(a *crew.App, generation int) {
	g := a.Generations[generation]
	if g == nil || g == a.Current {
		return
	}
	before := a.GenerationsHeld()
	// Of one that an earlier tine has begun nobody knows what it was.
	if old := a.Current; old != nil && old.Resolved.Load() != nil && old.Resolved.Load().Command.ProgramID != nil && !launch.SameRelease(old, g) {
		a.Previous, a.PreviousUntil = old, time.Now()
	}
	a.Current = g
	l.dropUnheld(a, before)
}

// restoredRelease is nil where nothing was kept.
func (l *loop) restoredRelease(s *succession.Release) *launch.Generation {
	if s == nil || s.Command == nil {
		return nil
	}
	s.Config = s.Config.Restored()
	return l.restoredGeneration(s.Generation)
}

// drift is said once for each generation: what a worker was started from and what is on disk are not the same.
type drift struct {
	a        *crew.App
	g        *launch.Generation
	text     string
	harmless bool
}

func (d drift) apply(l *loop) {
	if d.g.Drifted.Swap(true) {
		return
	}
	e := l.logs.Info()
	if !d.harmless {
		e = l.logs.Warn()
	}
	e.Str("app", d.a.Name).Str("release", d.text).Msg("what is on disk is not the release that runs")
}

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

// holdReleases opens the files of releases that the last master could not hold, or that its store has lost, if they are still
// those. Each has a goroutine of its own, as it may be on a disk that hangs.
func (l *loop) holdReleases() {
	for _, a := range l.apps {
		for _, g := range a.GenerationsHeld() {
			if !a.Ended() && g.Resolved.Load() != nil && !g.Pinned() {
				l.s.wg.Go(func() { g.Hold(l.s.pins) })
			}
		}
	}
}

// forgetPins takes out of the store, and closes, what no release of this master has.
func (l *loop) forgetPins() {
	for name, files := range l.s.inherited {
		if !strings.HasPrefix(name, launch.KeptPin) {
			continue
		}
		if !l.s.pins.Holds(name) {
			l.estate.Remove(name)
		}
		estate.CloseFiles(files)
		delete(l.s.inherited, name)
	}
}
