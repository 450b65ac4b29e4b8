package crew

import (
	"fmt"
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

// exceeded says which limit of its app a worker has reached that has served so many requests, of which the oldest that is in progress
// is of that age; 0: none is. "": no limit. slow: it is a request that takes too long.
func (m *Worker) exceeded(requests uint64, oldest time.Duration) (why string, slow bool) {
	switch c := &m.App.Config; {
	case c.RequestTimeout > 0 && oldest > c.RequestTimeout:
		return fmt.Sprintf("request timeout: one is %s old", oldest.Round(time.Millisecond)), true
	case c.MaxRequests > 0 && requests >= m.Most(c.MaxRequests):
		return fmt.Sprintf("max requests: %d served", requests), false
	}
	return "", false
}

// checkLimits looks at what the workers have written on the scoreboard.
func (c *Crew) checkLimits(a *App) {
	now := ipc.Monotonic()
	for _, m := range a.InOrder() {
		if m.Seat == nil || !m.Talk.Serves() || m.Over {
			continue
		}
		var oldest time.Duration
		if start, some := m.Seat.Row.Oldest(); some {
			oldest = time.Duration(now - start)
		}
		why, slow := m.exceeded(m.Seat.Row.Requests(), oldest)
		if slow {
			m.In(c.logs.Warn()).Float64("age_ms", api.Milliseconds(oldest)).Float64("limit_ms", api.Milliseconds(a.Config.RequestTimeout)).Msg("slow request; replacing the worker")
		}
		if why != "" {
			c.over(m, why, slow)
		}
	}
}

// over queues a worker for its replacement, once.
func (c *Crew) over(m *Worker, why string, dump bool) {
	m.Over = true
	c.Step(m.App, pool.Recycle{ID: m.ID, Reason: why, Dump: dump})
}

// memoryCheck is when the workers' memory is looked at. The zero value: no app has a limit.
type memoryCheck struct{ at time.Time }

// next is when that is; zero: no app has a limit, which limited says. The first look is after a whole interval: a worker that has just
// started has not used much.
func (k *memoryCheck) next(now time.Time, limited bool) time.Time {
	switch {
	case !limited:
		k.at = time.Time{}
	case k.at.IsZero():
		k.at = now.Add(rssEvery)
	}
	return k.at
}

// due reports whether it is time to look, and notes that the caller does.
func (k *memoryCheck) due(now time.Time) bool {
	if k.at.IsZero() || k.at.After(now) {
		return false
	}
	k.at = now.Add(rssEvery)
	return true
}

func (a *App) limitsMemory() bool { return !a.Ended() && a.Config.MaxRSS > 0 }

// checkMemory replaces workers whose memory, which only the system knows, is over the limit, if it is time to look.
func (c *Crew) checkMemory(now time.Time) {
	if !c.memory.due(now) {
		return
	}
	for _, a := range c.loop.Apps() {
		if !a.limitsMemory() {
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
