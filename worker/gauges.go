package worker

import (
	"runtime/debug"
	"runtime/metrics"
	"slices"

	"github.com/tinehq/tine/ipc"
)

// gauges reads the runtime into the row without stopping the world, and without garbage from the second time on. The
// beat owns it.
type gauges struct {
	gc      debug.GCStats
	cycles  int64 // that were seen
	samples []metrics.Sample
}

func (g *gauges) show(r *ipc.Row) {
	if g.samples == nil {
		g.samples = []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	}
	metrics.Read(g.samples)
	r.Goroutines.Store(number(g.samples[0]))
	r.Heap.Store(number(g.samples[1]))
	debug.ReadGCStats(&g.gc) // runtime/metrics has the pauses as a distribution only
	r.GCCount.Store(uint64(g.gc.NumGC))
	if n := int(g.gc.NumGC - g.cycles); n > 0 {
		r.GCPause.Store(int64(slices.Max(g.gc.Pause[:min(n, len(g.gc.Pause))]))) // the newest come first
	}
	g.cycles = g.gc.NumGC
}

// number is 0 for a metric that this version of Go does not have.
func number(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}
