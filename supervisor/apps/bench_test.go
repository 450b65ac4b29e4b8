package apps

import (
	"fmt"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// BenchmarkStep is what a step of one pool costs among so many apps: one that changes nothing, and one by which a worker comes
// or goes.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{16, 256, 1024} {
		s, now := New(Limits{}), time.Unix(0, 0)
		facts := pool.Brief{Phase: pool.PhaseRunning, Wanted: 2, Generation: 1, AllReady: true, Tried: true}
		var ev Begin
		for i := range n {
			ev.Runs = append(ev.Runs, Opened{ID: ID(i + 1), Spec: Spec{Name: fmt.Sprint("app", i)}, Facts: pool.Brief{Wanted: 2, Generation: 1}})
		}
		s.Step(now, ev)
		for i := range n {
			s.Step(now, Stepped{App: ID(i + 1), Facts: facts, Moved: true})
		}
		if !s.Ready() {
			b.Fatal("not ready")
		}
		for name, changes := range map[string]bool{"same": false, "changed": true} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					facts.AllReady = changes && i&1 == 1
					s.Step(now, Stepped{App: 1, Facts: facts, Moved: true})
				}
			})
		}
	}
}
