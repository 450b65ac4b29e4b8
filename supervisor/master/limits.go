package master

import (
	"fmt"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
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
func (l *loop) checkLimits(a *crew.App) {
	now := ipc.Monotonic()
	for _, m := range a.InOrder() {
		if m.Seat == nil || !m.Ready || m.Drains || m.Over {
			continue
		}
		start, some := m.Seat.Row.Oldest()
		age := time.Duration(now - start)
		switch {
		case some && a.Config.RequestTimeout > 0 && age > a.Config.RequestTimeout:
			l.worker(l.logs.Warn(), m).Float64("age_ms", api.Milliseconds(age)).Float64("limit_ms", api.Milliseconds(a.Config.RequestTimeout)).Msg("slow request; replacing the worker")
			l.over(m, fmt.Sprintf("request timeout: one is %s old", age.Round(time.Millisecond)), true)
		case a.Config.MaxRequests > 0 && m.Seat.Row.Requests() >= m.Most(a.Config.MaxRequests):
			l.over(m, fmt.Sprintf("max requests: %d served", m.Seat.Row.Requests()), false)
		}
	}
}

// checkMemory replaces workers whose memory, which only the system knows, is over the limit.
func (l *loop) checkMemory(a *crew.App) {
	for _, m := range a.InOrder() {
		if !m.Ready || m.Drains || m.Over {
			continue
		}
		rss, err := m.Process().RSS()
		if err != nil {
			continue // the process is gone, which is posted
		}
		if rss > a.Config.MaxRSS {
			l.over(m, fmt.Sprintf("max rss: %d bytes, the limit is %s", rss, file.FormatSize(a.Config.MaxRSS)), false)
		}
	}
}

// over queues a worker for its replacement, once.
func (l *loop) over(m *crew.Worker, why string, dump bool) {
	m.Over = true
	l.step(m.App, pool.Recycle{ID: m.ID, Reason: why, Dump: dump})
}

// nextMemory is when the workers' memory is to be looked at, or zero.
func (l *loop) nextMemory(now time.Time) time.Time {
	limited := slices.ContainsFunc(l.apps, func(a *crew.App) bool { return !a.Ended() && a.Config.MaxRSS > 0 })
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
		if !a.Ended() && a.Config.MaxRSS > 0 {
			l.checkMemory(a)
		}
	}
}
