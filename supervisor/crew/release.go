package crew

import "github.com/tinehq/tine/supervisor/pool"

// takeRelease makes the generation that a rollout takes, and forgets those that no slot starts again and no worker is of.
func (c *Crew) takeRelease(a *App, e pool.Resolve) {
	st := a.Pool.Status()
	used := map[int]bool{}
	for _, slot := range st.Slots {
		used[slot.Generation] = true
		for _, w := range slot.Workers {
			used[w.Generation] = true
		}
	}
	for _, w := range st.Standbys {
		used[w.Generation] = true
	}
	a.Releases.Take(e.Generation, st.Generation, a.Config, e.Back, func(n int) bool { return used[n] })
	a.History.LastGeneration = max(a.History.LastGeneration, e.Generation)
}
