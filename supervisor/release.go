package supervisor

import (
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// A release is what the workers of a generation are started from: see generation. Whatever starts another worker of that
// generation - a crash, a scale, a standby, a drained slot that is filled again, a later master - starts the release. Only
// a rollout takes what is on disk: a reload, SIGUSR2, a config that is applied, a watched file that changed, cron_restart; and so
// does the start of an app that does not run, a one-shot's next run among them. A rollback is a rollout to the release before.

// startable is what a worker of the generation is started from.
func (g *generation) startable(p *pins) (recipe, error) {
	if _, err := g.resolve(); err != nil {
		return recipe{}, err
	}
	g.hold(p)
	return *g.resolved.Load(), nil
}

// hold holds the files of a resolved release from here on, once. It waits for the disk that they are on.
func (g *generation) hold(p *pins) { g.pin(p, p.hold, true) }

// pin holds those files of a resolved release that it does not yet; last says that it is not tried again. A script is read by
// its path, whatever is held.
func (g *generation) pin(p *pins, hold func(path string, id *proc.FileID, folder bool) *pin, last bool) {
	g.pinning.Lock()
	defer g.pinning.Unlock()
	g.mu.Lock()
	r, program, folder := g.resolved.Load(), g.program, g.folder
	over := g.pinned || g.dropped || r == nil
	g.mu.Unlock()
	if over {
		return
	}
	if program == nil && !r.command.Script {
		program = hold(r.command.Path, r.command.ProgramID, false)
	}
	if folder == nil {
		folder = hold(r.command.Dir, r.command.FolderID, true)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped { // meanwhile, with those of before
		for _, h := range []*pin{program, folder} {
			if h != g.program && h != g.folder {
				p.release(h)
			}
		}
		return
	}
	c := r.command
	all := (program != nil || c.Script || c.ProgramID == nil) && (folder != nil || c.FolderID == nil)
	g.pinned, g.program, g.folder = last || all, program, folder
	next := *r
	next.command.Pinned = proc.Pinned{Program: program.open(), Folder: folder.open()}
	g.resolved.Store(&next)
}

// drop lets go of the files.
func (g *generation) drop(p *pins) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped {
		return
	}
	g.dropped = true
	p.release(g.program)
	p.release(g.folder)
}

// again is a generation to come of the same release.
func (g *generation) again(p *pins) *generation {
	r := g.resolved.Load()
	if r == nil {
		return newGeneration(g.config)
	}
	next := &generation{config: g.config, at: time.Now(), back: true}
	same := *r
	next.resolved.Store(&same)
	next.resolve = func() (recipe, error) { return *next.resolved.Load(), nil }
	next.pin(p, func(_ string, id *proc.FileID, _ bool) *pin { return p.share(id) }, false)
	return next
}

// sameRelease says that a worker of one cannot be told from one of the other.
func sameRelease(a, b *generation) bool {
	x, y := a.resolved.Load(), b.resolved.Load()
	if x == nil || y == nil {
		return false
	}
	c, d := x.command, y.command
	return c.Path == d.Path && c.Dir == d.Dir && slices.Equal(c.Args, d.Args) && slices.Equal(c.Env, d.Env) &&
		c.ProgramID != nil && d.ProgramID != nil && *c.ProgramID == *d.ProgramID &&
		c.FolderID != nil && d.FolderID != nil && c.FolderID.Same(*d.FolderID)
}

// generationsHeld are all that the app may start again.
func (a *app) generationsHeld() []*generation {
	all := slices.Collect(maps.Values(a.generations))
	for _, g := range []*generation{a.current, a.previous, a.backTo} {
		if g != nil {
			all = append(all, g)
		}
	}
	return all
}

// dropUnheld lets go of those of before that nothing can start any more.
func (l *loop) dropUnheld(a *app, before []*generation) {
	held := a.generationsHeld()
	for _, g := range before {
		if !slices.Contains(held, g) {
			g.drop(l.s.pins)
		}
	}
}

// resolveGeneration makes the generation that a rollout takes. One that is there stays: it was begun below an earlier master.
func (l *loop) resolveGeneration(a *app, e pool.Resolve) {
	before := a.generationsHeld()
	st := a.pool.Status()
	a.current = a.generations[st.Generation]
	a.forget(st, e.Generation)
	if a.generations[e.Generation] == nil {
		g := newGeneration(a.config)
		if e.Back {
			for _, old := range []*generation{a.backTo, a.previous, a.current} {
				if old != nil {
					g = old.again(l.s.pins)
					break
				}
			}
			a.backTo = nil
		}
		a.generations[e.Generation] = g
	}
	l.dropUnheld(a, before)
	a.history.lastGeneration = max(a.history.lastGeneration, e.Generation)
}

// released remembers the release that a rollout has replaced. One that has replaced it by the same changes nothing.
func (l *loop) released(a *app, generation int) {
	g := a.generations[generation]
	if g == nil || g == a.current {
		return
	}
	before := a.generationsHeld()
	// Of one that an earlier tine has begun nobody knows what it was.
	if old := a.current; old != nil && old.resolved.Load() != nil && old.resolved.Load().command.ProgramID != nil && !sameRelease(old, g) {
		a.previous, a.previousUntil = old, time.Now()
	}
	a.current = g
	l.dropUnheld(a, before)
}

// savedRelease is a generation that is remembered, and until when it was the one that ran.
type savedRelease struct {
	savedGeneration
	Until time.Time `json:"until,omitzero"`
}

func (g *generation) saved() savedGeneration {
	s := savedGeneration{Config: g.config, At: g.at, Back: g.back}
	if r := g.resolved.Load(); r != nil {
		s.Command = &r.command
	}
	return s
}

// restoredRelease is nil where nothing was kept.
func (l *loop) restoredRelease(s *savedRelease) *generation {
	if s == nil || s.Command == nil {
		return nil
	}
	s.Config = s.Config.Restored()
	return l.restoredGeneration(s.savedGeneration)
}

// drift is said once for each generation: what a worker was started from and what is on disk are not the same.
type drift struct {
	a        *app
	g        *generation
	text     string
	harmless bool
}

func (d drift) apply(l *loop) {
	if d.g.drifted.Swap(true) {
		return
	}
	e := l.logs.Info()
	if !d.harmless {
		e = l.logs.Warn()
	}
	e.Str("app", d.a.name).Str("release", d.text).Msg("what is on disk is not the release that runs")
}

// releaseOf is what describe shows of a generation.
func releaseOf(number int, g *generation) *control.Release {
	if g == nil || g.resolved.Load() == nil {
		return nil
	}
	c := g.resolved.Load().command
	r := &control.Release{Generation: number, Program: c.Path, Folder: c.Dir, Since: g.at.Round(time.Millisecond), Rollback: g.back, Unpinned: []string{}}
	switch {
	case c.Script:
		r.Unpinned = append(r.Unpinned, c.Path+" is a script: it is read from disk at each start")
	case g.pinnedYet() && c.Pinned.Program == nil:
		r.Unpinned = append(r.Unpinned, c.Path+" is not held open: it is started as it is on disk")
	}
	for _, arg := range c.Reads {
		r.Unpinned = append(r.Unpinned, arg+", an argument, is a file: it is read from disk")
	}
	return r
}

func (g *generation) pinnedYet() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pinned
}
