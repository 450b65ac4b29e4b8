package supervisor

import (
	"os"
	"time"

	"github.com/tinehq/tine/supervisor/cache"
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
	// Acked is the epoch up to which each worker has applied all changes: one that
	// lags behind Status.Epoch does not read its channel.
	Acked map[pool.WorkerID]uint64
}

func (l *loop) status() Status {
	st := Status{
		PID: os.Getpid(), Uptime: time.Since(l.startedAt),
		Epoch: l.store.Epoch(), Cache: l.store.Status(time.Now()),
	}
	for _, a := range l.apps {
		as := AppStatus{Name: a.name, Listen: a.listening(), Status: a.pool.Status(), Acked: map[pool.WorkerID]uint64{}}
		for id, m := range a.members {
			as.Acked[id] = min(m.acked.Load(), st.Epoch)
		}
		st.Apps = append(st.Apps, as)
	}
	return st
}
