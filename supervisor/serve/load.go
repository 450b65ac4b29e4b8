package serve

import (
	"context"
	"net/http"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet/machine"
	"github.com/tinehq/tine/supervisor/fleet/reports"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// loadHandler answers GET /v1/load with how loaded this host and its workers are: for the gateway of another Tine.
func (s *Server) loadHandler() http.Handler {
	meter := &machine.Meter{}
	meter.Stats() // CPUs are measured from here on
	return reports.Handler(uint64(ipc.Monotonic()), func() map[members.Stat]members.Value {
		stats := meter.Stats()
		ctx, cancel := context.WithTimeout(context.Background(), healthTime)
		defer cancel()
		if m, err := s.master.Snapshot(ctx); err == nil {
			addWorkers(stats, m)
		}
		return stats
	})
}

// addWorkers adds what the workers have, where one of them counts it.
func addWorkers(stats map[members.Stat]members.Value, m *snapshot.Master) {
	counted, inFlight, open := false, 0, 0
	for _, a := range m.Listed {
		for i := range a.Workers {
			if seat := a.Workers[i].Seat; seat != nil {
				load := seat.Load()
				counted, inFlight, open = true, inFlight+load.InFlight, open+load.Open
			}
		}
	}
	if counted {
		stats[members.InFlight], stats[members.Connections] = float64(inFlight), float64(open)
	}
}
