package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

const (
	// usualPulse is how often limits are checked while there is load.
	usualPulse = time.Second
	// rssEvery is how often the memory of workers is read, where it has a limit.
	rssEvery = 2 * time.Second
)

// pulse is how often an app's limits are checked: four times within its request timeout, but not more often than every 50 ms.
func pulse(c config.App) time.Duration {
	if c.RequestTimeout > 0 {
		return min(max(c.RequestTimeout/4, 50*time.Millisecond), usualPulse)
	}
	return usualPulse
}

// checkLimits looks at what the workers have written on the scoreboard: a request
// that takes too long, or as many requests as a worker may serve.
func (c *Crew) checkLimits(a *App) {
	now := ipc.Monotonic()
	for _, m := range a.InOrder() {
		if m.Seat == nil || !m.Talk.Serves() || m.Over {
			continue
		}
		start, some := m.Seat.Row.Oldest()
		age := time.Duration(now - start)
		switch {
		case some && a.Config.RequestTimeout > 0 && age > a.Config.RequestTimeout:
			m.In(c.logs.Warn()).Float64("age_ms", api.Milliseconds(age)).Float64("limit_ms", api.Milliseconds(a.Config.RequestTimeout)).Msg("slow request; replacing the worker")
			c.over(m, fmt.Sprintf("request timeout: one is %s old", age.Round(time.Millisecond)), true)
		case a.Config.MaxRequests > 0 && m.Seat.Row.Requests() >= m.Most(a.Config.MaxRequests):
			c.over(m, fmt.Sprintf("max requests: %d served", m.Seat.Row.Requests()), false)
		}
	}
}

// over queues a worker for its replacement, once.
func (c *Crew) over(m *Worker, why string, dump bool) {
	m.Over = true
	c.Step(m.App, pool.Recycle{ID: m.ID, Reason: why, Dump: dump})
}

// memoryCheck is when the workers' memory is looked at next; zero: no app has a limit.
type memoryCheck struct{ at time.Time }

func (c *Crew) limitsMemory(a *App) bool { return !a.Ended() && a.Config.MaxRSS > 0 }

// nextMemory is when the workers' memory is to be looked at, or zero.
func (c *Crew) nextMemory(now time.Time) time.Time {
	switch {
	case !slices.ContainsFunc(c.loop.Apps(), c.limitsMemory):
		c.memory.at = time.Time{}
	case c.memory.at.IsZero():
		c.memory.at = now.Add(rssEvery)
	}
	return c.memory.at
}

// checkMemory replaces workers whose memory, which only the system knows, is over the limit, if it is time to look.
func (c *Crew) checkMemory(now time.Time) {
	if c.memory.at.IsZero() || c.memory.at.After(now) {
		return
	}
	c.memory.at = now.Add(rssEvery)
	for _, a := range c.loop.Apps() {
		if !c.limitsMemory(a) {
			continue
		}
		for _, m := range a.InOrder() {
			if !m.Talk.Serves() || m.Over {
				continue
			}
			if rss, err := m.Process().RSS(); err == nil && rss > a.Config.MaxRSS { // an error: the process is gone, which is posted
				c.over(m, fmt.Sprintf("max rss: %d bytes, the limit is %s", rss, file.FormatSize(a.Config.MaxRSS)), false)
			}
		}
	}
}
