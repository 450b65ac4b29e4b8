package gate

import (
	"math"
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestWhileTablesCome: for the race detector, each way picks while tables with new reports come.
func TestWhileTablesCome(t *testing.T) {
	t.Parallel()
	tables := func(sequence uint64) members.Table {
		return table(5, reports(func(i int) map[members.Stat]members.Value {
			return map[members.Stat]members.Value{members.InFlight: float64(i), members.CPUIdle: 0.5}
		}), func(_ int, m *members.Member) { m.Report.Sequence = sequence })
	}
	for _, way := range Ways {
		p := picker(t, Options{Way: way, Score: Score{Multipliers: map[members.Stat]float64{members.CPUIdle: 1}}}, tables(1))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for i := range int64(500) {
					if k, err := p.Pick(Request{Key: "a", Now: second + i}); err == nil {
						k.Done(second+i+1, Answered)
					}
					p.Explain(second + i)
				}
			})
		}
		for i := range uint64(100) {
			p.Update(tables(2+i), second+int64(i))
			p.Refresh(second + int64(i))
		}
		wg.Wait()
	}
}

// TestScoreTooLarge: statistics that are too large to be added up make no score that is not a number.
func TestScoreTooLarge(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		p := picker(t, Options{Way: ByScore, Score: Score{Raw: raw, Multipliers: map[members.Stat]float64{members.Sessions: 10}}},
			table(3, reports(func(i int) map[members.Stat]members.Value {
				return map[members.Stat]members.Value{members.Sessions: []float64{math.MaxFloat64, -math.MaxFloat64, 1}[i]}
			})))
		for _, m := range p.now.Load().all {
			if !(m.score >= 0 && m.score <= 1) {
				t.Errorf("raw %t: %s has the score %v", raw, m.ID, m.score)
			}
		}
	}
}

// TestLearn: what a request takes after its answer has begun is not the member's latency, and its place is given up at its end.
func TestLearn(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: PeakEWMA}, table(1))
	k := mustPick(t, p, Request{Now: second})
	k.Learn(second+5, Answered)
	if n := p.lives["m0"].InFlight.Load(); n != 1 {
		t.Errorf("%d in flight before the end", n)
	}
	k.Release()
	if v, n := p.lives["m0"].latency.sampled(), p.lives["m0"].InFlight.Load(); v != 5 || n != 0 {
		t.Errorf("latency %v, %d in flight", v, n)
	}
}
