package supervisor

import (
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// Status is what a master runs now: a copy that shares nothing with it.
type Status struct {
	PID    int
	Uptime time.Duration
	Apps   []AppStatus
	Epoch  uint64
	Cache  []cache.ValueStatus
}

// AppStatus is one app's part of a Status.
type AppStatus struct {
	Name   string
	Listen []string // with the real port where the config says 0
	pool.Status
	Steering listen.Steering
	// WorkerLoad is what each worker with a slot says of itself on the scoreboard.
	WorkerLoad map[pool.WorkerID]WorkerLoad
	// Totals are sums since the app was started, by slot: they go on over the workers
	// of a slot and never go back. Goroutines and Heap are those of its workers now.
	Totals []ipc.Stats
	// Acked is the epoch up to which each worker has applied all changes: one that
	// lags behind Status.Epoch does not read its channel.
	Acked map[pool.WorkerID]uint64
}

// WorkerLoad is what one worker does and has done.
type WorkerLoad struct {
	InFlight int           // requests
	Oldest   time.Duration // age of the oldest request in flight; 0: none
	Open     int           // connections
	Stats    ipc.Stats
}

// load reads a worker's row. It may write anything there.
func (m *member) load() WorkerLoad {
	st := m.row.Stats()
	l := WorkerLoad{InFlight: m.row.InFlight(), Open: int(max(int64(st.Opened-st.Closed), 0)), Stats: st}
	if start, ok := m.row.Oldest(); ok {
		l.Oldest = max(time.Duration(ipc.Monotonic()-start), 1)
	}
	return l
}

// loads are those of all workers that have a seat, and the totals by slot.
func (a *app) loads() (map[pool.WorkerID]WorkerLoad, []ipc.Stats) {
	all, totals := map[pool.WorkerID]WorkerLoad{}, slices.Clone(a.totals)
	for id, m := range a.members {
		if m.row == nil {
			continue
		}
		all[id] = m.load()
		for len(totals) <= m.slot {
			totals = append(totals, ipc.Stats{})
		}
		totals[m.slot].Add(all[id].Stats)
	}
	return all, totals
}

func (l *loop) status() Status {
	st := Status{
		PID: os.Getpid(), Uptime: time.Since(l.startedAt),
		Epoch: l.values.Epoch(), Cache: l.values.Status(time.Now()),
	}
	for _, a := range l.apps {
		as := AppStatus{
			Name: a.name, Listen: a.listening(), Status: a.pool.Status(), Steering: a.sockets.Steering(),
			Acked: map[pool.WorkerID]uint64{},
		}
		as.WorkerLoad, as.Totals = a.loads()
		for id, m := range a.members {
			as.Acked[id] = min(m.Acked(), st.Epoch)
		}
		st.Apps = append(st.Apps, as)
	}
	return st
}
