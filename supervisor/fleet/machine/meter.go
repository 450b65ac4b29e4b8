package machine

import (
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// least is the shortest time over which CPUs are measured: the kernel counts in steps of 10 ms.
const least = 200 * time.Millisecond

// Meter measures. The zero Meter is ready; its methods may be called by any goroutine.
type Meter struct {
	mu   sync.Mutex
	at   time.Time
	from cpu // at that time
	idle float64
	has  bool // idle is there
}

// cpu is what all CPUs have done since the start of the host, in seconds.
type cpu struct{ idle, all float64 }

// Stats are the statistics now. One that cannot be measured is absent; cpu_idle is from the second call on.
func (m *Meter) Stats() map[members.Stat]members.Value {
	stats := map[members.Stat]members.Value{}
	free, total, ok := memory()
	if ok {
		stats[members.MemoryFree], stats[members.MemoryTotal] = free, total
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.at) >= least {
		if c, ok := cpus(); ok {
			m.take(now, c)
		}
	}
	if m.has {
		stats[members.CPUIdle] = m.idle
	}
	return stats
}

func (m *Meter) take(now time.Time, c cpu) {
	if all := c.all - m.from.all; !m.at.IsZero() && all > 0 {
		m.idle, m.has = min(max((c.idle-m.from.idle)/all, 0), 1), true
	}
	m.at, m.from = now, c
}
