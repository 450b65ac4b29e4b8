package crew

import (
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/pool"
)

// DropUnheld lets go of those of before that nothing can start any more.
func (c *Crew) DropUnheld(a *App, before []*launch.Generation) {
	held := a.GenerationsHeld()
	for _, g := range before {
		if !slices.Contains(held, g) {
			g.Drop(c.starter.pins)
		}
	}
}

// resolve makes the generation that a rollout takes. One that is there stays: it was begun below an earlier master.
func (c *Crew) resolve(a *App, e pool.Resolve) {
	before := a.GenerationsHeld()
	st := a.Pool.Status()
	a.Current = a.Generations[st.Generation]
	a.Forget(st, e.Generation)
	if a.Generations[e.Generation] == nil {
		g := launch.New(a.Config)
		if e.Back {
			for _, old := range []*launch.Generation{a.BackTo, a.Previous, a.Current} {
				if old != nil {
					g = old.Again(c.starter.pins)
					break
				}
			}
			a.BackTo = nil
		}
		a.Generations[e.Generation] = g
	}
	c.DropUnheld(a, before)
	a.History.LastGeneration = max(a.History.LastGeneration, e.Generation)
}

// released remembers the release that a rollout has replaced. One that has replaced it by the same changes nothing.
func (c *Crew) released(a *App, generation int) {
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
	c.DropUnheld(a, before)
}
