package gate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`cannot pick by "leastest": one of round-robin,`: {Way: "leastest"},
		"the quantile is 2":             {Way: Prequal, Hot: 2},
		"the bound is 1, and more than": {Way: Maglev, Bounded: 1},
		"it is for crc32-mod":           {Way: Least, Bounded: 2},
		"the multiplier of rtt_ms is -1, and a finite number of 0 or more": {Way: ByScore, Score: Score{Multipliers: map[members.Stat]float64{members.RTT: -1}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// optionsOf are such that the way has something to go by.
func optionsOf(way string) Options {
	return Options{Way: way, Score: Score{Multipliers: map[members.Stat]float64{members.CPUIdle: 1}}}
}

func idle(int) map[members.Stat]members.Value {
	return map[members.Stat]members.Value{members.CPUIdle: 0.5}
}

// TestNone: no way picks where nobody is ready, and all say which of the two it is.
func TestNone(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		p := picker(t, optionsOf(way), members.Table{})
		if _, err := p.Pick(Request{Now: second}); !errors.Is(err, ErrNoMember) {
			t.Errorf("%s of none: %v", way, err)
		}
		for _, state := range members.States {
			p.Update(table(3, func(_ int, m *members.Member) { m.State = state }), second)
			if _, err := p.Pick(Request{Now: second}); (err == nil) != (state == members.Ready) {
				t.Errorf("%s of %s ones: %v", way, state, err)
			}
		}
		p.Update(table(3, weights(0, 0, 0)), second)
		if _, err := p.Pick(Request{Now: second}); !errors.Is(err, ErrNoMember) {
			t.Errorf("%s of those without weight: %v", way, err)
		}
	}
}

// TestCapacity: however many pick at once, and by several pickers with the same counters, no member has more than it may.
func TestCapacity(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		counters := map[string]*Counter{}
		for i := range 5 {
			counters[fmt.Sprint("m", i)] = new(Counter)
		}
		o := optionsOf(way)
		o.Counters = func(id string) *Counter { return counters[id] }
		all := table(5, func(i int, m *members.Member) { m.MaxInFlight = i + 1 }, reports(idle))
		var both []*Picker
		for range 2 {
			p := picker(t, o, all)
			for _, l := range p.lives { // else they are unknown, and have one request at a time
				l.latency.sample(second, 1e6, 0, false)
			}
			p.Refresh(second)
			both = append(both, p)
		}
		var wg sync.WaitGroup
		var lock sync.Mutex
		var picks []Pick
		for i := range 8 {
			wg.Go(func() {
				for n := range 50 {
					k, err := both[i%2].Pick(Request{Key: fmt.Sprint(i, n), Now: second})
					if err != nil {
						continue
					}
					lock.Lock()
					picks = append(picks, k)
					lock.Unlock()
				}
			})
		}
		wg.Wait()
		if len(picks) != 1+2+3+4+5 {
			t.Errorf("%s: %d picks, and 15 places", way, len(picks))
		}
		for i := range 5 {
			if n := counters[fmt.Sprint("m", i)].InFlight.Load(); n != int64(i+1) {
				t.Errorf("%s: member %d has %d", way, i, n)
			}
		}
		if _, err := both[0].Pick(Request{Now: second}); !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v, and all are full", way, err)
		}
		for _, k := range picks {
			k.Done(second, Cancelled)
		}
		if k, err := both[1].Pick(Request{Now: second}); err != nil {
			t.Errorf("%s: %v, and all have room again", way, err)
		} else {
			k.Done(second, Answered)
		}
	}
}

// TestWeights: of 1:2:5 each way gives about that, as far as the rest is equal.
func TestWeights(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		if way == First {
			continue // the first in the list is all that it looks at
		}
		p := picker(t, optionsOf(way), table(4, weights(1, 2, 5, 0), reports(idle)))
		const n = 8000
		counts := map[string]int{}
		var inFlight []Pick
		r := rand.New(rand.NewPCG(1, 2))
		for i := range n {
			k := mustPick(t, p, Request{Key: fmt.Sprint("key", i), Now: second})
			counts[k.Member().ID]++
			if inFlight = append(inFlight, k); len(inFlight) > 400 {
				at := r.IntN(len(inFlight)) // the one that ends is not the one that began first
				inFlight[at].Done(second+int64(time.Millisecond), Answered)
				inFlight[at] = inFlight[len(inFlight)-1]
				inFlight = inFlight[:len(inFlight)-1]
			}
		}
		for id, want := range map[string]float64{"m0": n / 8, "m1": n / 4, "m2": n * 5 / 8, "m3": 0} {
			if got := float64(counts[id]); math.Abs(got-want) > want*0.25 {
				t.Errorf("%s: %s got %v, want about %v (%v)", way, id, got, want, counts)
			}
		}
	}
}

func TestTried(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		p := picker(t, optionsOf(way), table(3, reports(idle)))
		r := Request{Key: "k", Now: second}
		seen := map[string]bool{}
		for range 3 {
			k := mustPick(t, p, r)
			seen[k.Member().ID] = true
			r.Tried = append(r.Tried, k)
			p.Update(table(3, reports(idle)), second) // a new table does not forget who was tried
		}
		if len(seen) != 3 {
			t.Errorf("%s: tried %v", way, seen)
		}
		if _, err := p.Pick(r); err == nil {
			t.Errorf("%s picks one that was tried", way)
		}
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: RoundRobin}, table(3, weights(4, 2, 1)))
	var order []string
	for range 7 {
		order = append(order, mustPick(t, p, Request{Now: second}).Member().ID)
	}
	if got := strings.Join(order, " "); got != "m0 m1 m0 m2 m0 m1 m0" {
		t.Errorf("turns %s", got)
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: First}, table(3, func(i int, m *members.Member) { m.MaxInFlight = 2 }))
	var order []string
	for range 5 {
		order = append(order, mustPick(t, p, Request{Now: second}).Member().ID)
	}
	if got := strings.Join(order, " "); got != "m0 m0 m1 m1 m2" {
		t.Errorf("packed %s", got)
	}
}

// TestLeastCountsOthers: requests that a member tells of, and that others have sent, count as well as our own.
func TestLeastCountsOthers(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: Least}, table(2, reports(func(i int) map[members.Stat]members.Value {
		return map[members.Stat]members.Value{members.InFlight: float64(10 * i)}
	})))
	counts := map[string]int{}
	for range 30 {
		counts[mustPick(t, p, Request{Now: second}).Member().ID]++
	}
	if counts["m0"] != 20 || counts["m1"] != 10 {
		t.Errorf("%v, and with the 10 that m1 has both are to have 20", counts)
	}
}

// TestScoreNoHerd: between two reports not all go to the one that was best in the first.
func TestScoreNoHerd(t *testing.T) {
	t.Parallel()
	p := picker(t, optionsOf(ByScore), table(4, reports(func(i int) map[members.Stat]members.Value {
		return map[members.Stat]members.Value{members.CPUIdle: 0.5 + 0.1*float64(i%2)}
	})))
	counts := map[string]int{}
	for range 90 {
		k := mustPick(t, p, Request{Now: second})
		counts[k.Member().ID]++
		k.Done(second, Answered)
	}
	for id, want := range map[string]int{"m0": 15, "m1": 30, "m2": 15, "m3": 30} { // the worst scores get half
		if got := counts[id]; got < want-1 || got > want+1 {
			t.Errorf("%v, want about %d for %s", counts, want, id)
		}
	}
}

func TestScore(t *testing.T) {
	t.Parallel()
	stats := func(i int) map[members.Stat]members.Value {
		return []map[members.Stat]members.Value{
			{members.CPUIdle: 0.9, members.MemoryFree: 1e9, members.RTT: 5, "load": 3},
			{members.CPUIdle: 0.1, members.MemoryFree: 8e9, members.RTT: 1, "load": 1},
			{members.CPUIdle: 0.5, members.MemoryFree: 4e9, members.RTT: 3},
		}[i]
	}
	product := func(s map[members.Stat]members.Value) (float64, bool) {
		free, ok := s[members.MemoryFree]
		return free * s[members.CPUIdle] / s[members.RTT], ok
	}
	for name, c := range map[string]struct {
		score Score
		want  string
	}{
		"idle CPU":                {Score{Multipliers: map[members.Stat]float64{members.CPUIdle: 1}}, "m0"},
		"free memory":             {Score{Multipliers: map[members.Stat]float64{members.MemoryFree: 1}}, "m1"},
		"round trip":              {Score{Multipliers: map[members.Stat]float64{members.RTT: 1}}, "m1"},
		"units do not matter":     {Score{Multipliers: map[members.Stat]float64{members.CPUIdle: 3, members.MemoryFree: 1}}, "m0"},
		"0 is off":                {Score{Multipliers: map[members.Stat]float64{members.CPUIdle: 1, members.MemoryFree: 0, "load": 0}}, "m0"},
		"raw is the bare sum":     {Score{Raw: true, Multipliers: map[members.Stat]float64{members.CPUIdle: 1}}, "m1"},
		"raw may be turned round": {Score{Raw: true, Multipliers: map[members.Stat]float64{members.CPUIdle: -1}}, "m0"},
		"formula":                 {Score{Formula: product, HighestWins: true}, "m1"},
	} {
		p := picker(t, Options{Way: ByScore, Score: c.score}, table(3, reports(stats)))
		if got := mustPick(t, p, Request{Now: second}).Member().ID; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestUnknown: a member without a statistic that counts is unknown. It gets one request at a time, and never looks like the best.
func TestUnknown(t *testing.T) {
	t.Parallel()
	p := picker(t, optionsOf(ByScore), table(3, reports(func(i int) map[members.Stat]members.Value {
		if i == 0 {
			return nil // an idle CPU that is not known is not one of 0, nor one of 1
		}
		return idle(i)
	})))
	counts := map[string]int{}
	for range 50 {
		counts[mustPick(t, p, Request{Now: second}).Member().ID]++
	}
	if counts["m0"] != 1 || counts["m1"]+counts["m2"] != 49 {
		t.Errorf("%v: one trial at a time is expected", counts)
	}
	if all := p.Explain(second); !strings.Contains(all[0].Text, "unknown: it gets one request at a time") || !all[0].Picks {
		t.Errorf("explained as %+v", all[0])
	}
	p.Update(table(2), second)
	counts = map[string]int{}
	for range 10 {
		counts[mustPick(t, p, Request{Now: second}).Member().ID]++
	}
	if counts["m1"] == 0 {
		t.Errorf("%v: where all are unknown none waits for trials", counts)
	}
}

// TestLatency: a slow member gets less, and is asked again all the same, so that it is found out to be fast again.
func TestLatency(t *testing.T) {
	t.Parallel()
	fast := func(string) (time.Duration, Outcome) { return 5 * time.Millisecond, Answered }
	slow := func(id string) (time.Duration, Outcome) {
		if id == "m0" {
			return 50 * time.Millisecond, Answered
		}
		return fast(id)
	}
	for _, way := range []string{PeakEWMA, Prequal} {
		r := run{Picker: picker(t, Options{Way: way}, table(4)), now: second}
		counts := r.count(t, 10_000, slow)
		if n := counts["m0"]; n < 8 || n > 1000 {
			t.Errorf("%s: the slow one got %d of 10,000 in 10 s: %v", way, n, counts)
		}
		for _, id := range []string{"m1", "m2", "m3"} {
			if counts[id] < 1500 {
				t.Errorf("%s: of equal ones %s got %d: %v", way, id, counts[id], counts)
			}
		}
		r.count(t, 30_000, fast)
		if counts = r.count(t, 10_000, fast); counts["m0"] < 1000 {
			t.Errorf("%s: the one that is fast again for 30 s got %d of 10,000: %v", way, counts["m0"], counts)
		}
	}
}

// TestFailingFast: a member that fails at once does not look like a fast one.
func TestFailingFast(t *testing.T) {
	t.Parallel()
	for _, way := range []string{PeakEWMA, Prequal} {
		r := run{Picker: picker(t, Options{Way: way}, table(4)), now: second}
		counts := r.count(t, 10_000, func(id string) (time.Duration, Outcome) {
			if id == "m0" {
				return time.Microsecond, Failed
			}
			return 5 * time.Millisecond, Answered
		})
		if n := counts["m0"]; n > 2500 { // no more than its share
			t.Errorf("%s: the one that fails got %d of 10,000: %v", way, n, counts)
		}
	}
}

// TestRefused: a member that refuses is passed over at once, for longer each time, and no longer than there are others.
func TestRefused(t *testing.T) {
	t.Parallel()
	const ms = int64(time.Millisecond)
	p := picker(t, Options{Way: First}, table(2))
	pick := func(now int64, want string, how Outcome) {
		t.Helper()
		k := mustPick(t, p, Request{Now: now})
		if k.Member().ID != want {
			t.Fatalf("at %d ms: %s, want %s", (now-second)/ms, k.Member().ID, want)
		}
		k.Done(now, how)
	}
	pick(second, "m0", Refused)
	pick(second+99*ms, "m1", Answered)
	if all := p.Explain(second + 50*ms); all[0].Picks || all[0].Text != "it has refused 1 connections; for 50ms" {
		t.Errorf("explained as %+v", all[0])
	}
	pick(second+100*ms, "m0", Refused)
	pick(second+299*ms, "m1", Refused)
	pick(second+299*ms, "m0", Answered) // all have refused
	pick(second+300*ms, "m0", Answered)
}

// FuzzPicker: whatever the table, the way and the order of events, a pick is of a member that may be picked, and what is in flight
// is what was picked and is not done.
func FuzzPicker(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint64(2), []byte("picks and tables and time"))
	f.Fuzz(func(t *testing.T, seed uint64, events []byte) {
		r := rand.New(rand.NewPCG(seed, seed))
		o := optionsOf(Ways[r.IntN(len(Ways))])
		if ByKey(o.Way) && r.IntN(2) == 0 {
			o.Bounded = 1 + r.Float64()
		}
		o.Rand = r.Uint64
		any := func() members.Table {
			return table(r.IntN(20), func(i int, m *members.Member) {
				m.Weight = float64(r.IntN(4)) * r.ExpFloat64()
				m.MaxInFlight, m.State = r.IntN(4), members.States[r.IntN(len(members.States))]
				if r.IntN(2) == 0 {
					m.Report = &members.Report{Epoch: uint64(r.IntN(3)), Sequence: uint64(r.IntN(9)), Stats: map[members.Stat]members.Value{
						members.CPUIdle: r.Float64(), members.InFlight: float64(r.IntN(5)),
					}}
				}
			})
		}
		p := picker(t, o, any())
		current, now := p.now.Load().table, second
		var open []Pick
		for _, e := range events {
			now += int64(e) * int64(time.Millisecond)
			switch e % 5 {
			case 0:
				next := any()
				p.Update(next, now)
				current = next.Members
			case 1:
				p.Refresh(now)
			case 2:
				if len(open) > 0 {
					at := r.IntN(len(open))
					open[at].Done(now, Outcome(r.IntN(4)))
					open = append(open[:at], open[at+1:]...)
				}
			default:
				k, err := p.Pick(Request{Key: fmt.Sprint(e, r.IntN(9)), Now: now})
				if err != nil {
					continue
				}
				found := false
				for _, m := range current {
					if m.ID == k.Member().ID {
						found = m.State == members.Ready && m.Weight > 0 && (m.MaxInFlight == 0 || k.member.live.InFlight.Load() <= int64(m.MaxInFlight))
					}
				}
				if !found {
					t.Fatalf("%s picked %+v", o.Way, k.Member())
				}
				open = append(open, k)
			}
			if got := len(p.Explain(now)); got != len(current) {
				t.Fatalf("%d of %d members are explained", got, len(current))
			}
		}
		for _, k := range open {
			k.Done(now, Answered)
			if n := k.member.live.InFlight.Load(); n < 0 {
				t.Fatalf("%d in flight", n)
			}
		}
	})
}
