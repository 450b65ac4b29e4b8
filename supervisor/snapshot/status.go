package snapshot

import (
	"os"
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
	WorkerLoad map[pool.WorkerID]Load
	// Totals are sums since the app was started, by slot: they go on over the workers
	// of a slot and never go back. Goroutines and Heap are those of its workers now.
	Totals []ipc.Stats
	// Acked is the epoch up to which each worker has applied all changes: one that
	// lags behind Status.Epoch does not read its channel.
	Acked map[pool.WorkerID]uint64
}

// Status is m as programs that embed the master see it, with what its workers say of themselves now.
func (m *Master) Status(now time.Time) Status {
	st := Status{PID: os.Getpid(), Uptime: now.Sub(m.StartedAt), Epoch: m.Values.Epoch, Cache: m.Values.All(now)}
	for _, a := range m.Apps {
		as := AppStatus{
			Name: a.Name, Listen: a.Addresses(), Status: a.Pool.Clone(), Steering: a.Sockets.Steering(),
			WorkerLoad: map[pool.WorkerID]Load{}, Acked: map[pool.WorkerID]uint64{},
		}
		for slot := range a.Totals {
			as.Totals = append(as.Totals, a.Total(slot))
		}
		for _, w := range a.Workers {
			as.Acked[w.ID] = w.Epoch(st.Epoch)
			if w.Seat == nil {
				continue
			}
			load := w.Seat.Load()
			as.WorkerLoad[w.ID] = load
			for len(as.Totals) <= w.Slot {
				as.Totals = append(as.Totals, ipc.Stats{})
			}
			as.Totals[w.Slot].Add(load.Stats)
		}
		st.Apps = append(st.Apps, as)
	}
	return st
}
