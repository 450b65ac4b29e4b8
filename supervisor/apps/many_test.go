package apps

import (
	"fmt"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// layered has n layers of two apps, each of which needs both of the layer below, all ready.
func layered(n int, limits Limits, now time.Time) *Apps {
	s, ev := New(limits), Begin{}
	for i := range n {
		for j := range 2 {
			o := Opened{ID: ID(2*i + j + 1), Spec: Spec{Name: fmt.Sprint("app", i, ".", j)}, Facts: pool.Brief{Wanted: 1, Generation: 1}}
			if i > 0 {
				o.Spec.Needs = []Need{{Name: fmt.Sprint("app", i-1, ".", 0)}, {Name: fmt.Sprint("app", i-1, ".", 1)}}
			}
			ev.Runs = append(ev.Runs, o)
		}
	}
	s.Step(now, ev)
	for i := range ev.Runs {
		s.Step(now, Stepped{App: ID(i + 1), Moved: true, Facts: pool.Brief{Phase: pool.PhaseRunning, Wanted: 1, Generation: 1, AllReady: true, Tried: true}})
	}
	return s
}

// TestHurryOfManyPaths: there are 2 to the power of 39 ways through the apps, and each is looked at once.
func TestHurryOfManyPaths(t *testing.T) {
	const layers = 40
	now := time.Unix(0, 0)
	s := layered(layers, Limits{StopTimeout: layers * time.Second}, now)
	within := map[ID]time.Duration{}
	for _, e := range s.Step(now, Stop{Own: true}) {
		if p, is := e.(Pool); is {
			if h, is := p.Event.(pool.Hurry); is {
				within[p.App] = h.Within
			}
		}
	}
	if len(within) != 2 || within[2*layers-1] != time.Second || within[2*layers] != time.Second {
		t.Errorf("told to hurry: %v, want both of the last layer within 1s", within)
	}
}

// BenchmarkStopAll is what the core does to stop n apps, each of which needs the one before: it must not grow faster than n².
func BenchmarkStopAll(b *testing.B) {
	for _, n := range []int{16, 128, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				s, now, ev := New(Limits{}), time.Unix(0, 0), Begin{}
				for i := range n {
					o := Opened{ID: ID(i + 1), Spec: Spec{Name: fmt.Sprint("app", i)}, Facts: pool.Brief{Wanted: 1, Generation: 1}}
					if i > 0 {
						o.Spec.Needs = []Need{{Name: fmt.Sprint("app", i-1)}}
					}
					ev.Runs = append(ev.Runs, o)
				}
				s.Step(now, ev)
				for i := range n {
					s.Step(now, Stepped{App: ID(i + 1), Moved: true, Facts: pool.Brief{Phase: pool.PhaseRunning, Wanted: 1, Generation: 1, AllReady: true, Tried: true}})
				}
				s.Step(now, Stop{})
				for i := n; i > 0; i-- {
					s.Step(now, Stepped{App: ID(i), Facts: pool.Brief{Phase: pool.PhaseDone}, Done: &pool.Done{}})
				}
				if s.Phase() != Over {
					b.Fatal("not over")
				}
			}
		})
	}
}
