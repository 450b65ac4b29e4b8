package master

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
func (l *loop) checkLimits(a *app) {
	now := ipc.Monotonic()
	for _, m := range a.inOrder() {
		if m.seat == nil || !m.ready || m.drains || m.over {
			continue
		}
		start, some := m.seat.Row.Oldest()
		age := time.Duration(now - start)
		switch {
		case some && a.config.RequestTimeout > 0 && age > a.config.RequestTimeout:
			l.worker(l.logs.Warn(), m).Float64("age_ms", api.Milliseconds(age)).Float64("limit_ms", api.Milliseconds(a.config.RequestTimeout)).Msg("slow request; replacing the worker")
			l.over(m, fmt.Sprintf("request timeout: one is %s old", age.Round(time.Millisecond)), true)
		case a.config.MaxRequests > 0 && m.seat.Row.Requests() >= m.most(a.config.MaxRequests):
			l.over(m, fmt.Sprintf("max requests: %d served", m.seat.Row.Requests()), false)
		}
	}
}

// checkMemory replaces workers whose memory, which only the system knows, is over the limit.
func (l *loop) checkMemory(a *app) {
	for _, m := range a.inOrder() {
		if !m.ready || m.drains || m.over {
			continue
		}
		rss, err := m.Process().RSS()
		if err != nil {
			continue // the process is gone, which is posted
		}
		if rss > a.config.MaxRSS {
			l.over(m, fmt.Sprintf("max rss: %d bytes, the limit is %s", rss, file.FormatSize(a.config.MaxRSS)), false)
		}
	}
}

// over queues a worker for its replacement, once.
func (l *loop) over(m *member, why string, dump bool) {
	m.over = true
	l.step(m.app, pool.Recycle{ID: m.id, Reason: why, Dump: dump})
}

// most is the limit of this worker. Each worker has its own share of the jitter, so that workers which started together do not reach
// the limit together.
func (m *member) most(limit int) uint64 {
	return uint64(max(float64(limit)*(1+m.app.config.RecycleJitter*m.jitter), 1))
}

// nextMemory is when the workers' memory is to be looked at, or zero.
func (l *loop) nextMemory(now time.Time) time.Time {
	limited := slices.ContainsFunc(l.apps, func(a *app) bool { return !a.ended() && a.config.MaxRSS > 0 })
	switch {
	case !limited:
		l.memoryAt = time.Time{}
	case l.memoryAt.IsZero():
		l.memoryAt = now.Add(rssEvery)
	}
	return l.memoryAt
}

func (l *loop) pollMemory(now time.Time) {
	if l.memoryAt.IsZero() || l.memoryAt.After(now) {
		return
	}
	l.memoryAt = now.Add(rssEvery)
	for _, a := range l.apps {
		if !a.ended() && a.config.MaxRSS > 0 {
			l.checkMemory(a)
		}
	}
}
