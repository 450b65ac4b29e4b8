package queue

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// load is requests that come to members at random, in virtual time.
type load struct {
	options  Options
	places   int
	takes    time.Duration // a request, on average
	overload float64       // times what the members can do
}

// outcome is what became of them.
type outcome struct {
	offered, served, shed int
	waits, sheds          []time.Duration // of those that were placed, and of those that were shed
	busy                  float64         // share of the places that was used
}

func (o *outcome) percentile(of []time.Duration, p int) time.Duration {
	slices.Sort(of)
	return of[len(of)*p/100]
}

// simulate plays a load for as long as a place needs for 5,000 requests.
func (l load) simulate(t *testing.T) (o outcome) {
	r := rand.New(rand.NewPCG(1, 2))
	c := newCore(l.options)
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now, id, free := begin, ID(0), l.places
	var ends times // of requests that are being served
	arrival := begin
	drawn := func(mean time.Duration) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
	joined, length := map[ID]time.Time{}, map[ID]time.Duration{}
	serve := func(d time.Duration) {
		free--
		o.served++
		o.busy += d.Seconds()
		heap.Push(&ends, &waiter{Joined: Joined{ID: ID(d)}, until: now.Add(d)})
	}
	step := func(ev Event) {
		for ev != nil {
			effects := slices.Clone(c.Step(now, ev))
			ev = nil
			for _, e := range effects {
				switch e := e.(type) {
				case Drop:
					o.shed++
					o.sheds = append(o.sheds, e.Waited)
				case Offer:
					a := Full
					if free > 0 {
						a = Placed
						o.waits = append(o.waits, now.Sub(joined[e.ID]))
						serve(length[e.ID])
					}
					ev = Offered{e.ID, a}
				}
			}
		}
	}
	lasts := 5000 * l.takes
	for now.Sub(begin) < lasts {
		at, what := arrival, "arrival"
		if len(ends) > 0 && ends[0].until.Before(at) {
			at, what = ends[0].until, "end"
		}
		if d := c.Deadline(); !d.IsZero() && d.Before(at) {
			at, what = d, "tick"
		}
		now = at
		switch what {
		case "arrival":
			arrival = now.Add(drawn(time.Duration(float64(l.takes) / float64(l.places) / l.overload)))
			id++
			o.offered++
			d := drawn(l.takes)
			if len(c.waiting) == 0 && free > 0 {
				o.waits = append(o.waits, 0)
				serve(d)
				continue
			}
			joined[id], length[id] = now, d
			step(Joined{ID: id, Priority: DefaultPriority})
		case "end":
			e := heap.Pop(&ends).(*waiter)
			free++
			step(Freed{Places: 1, Took: time.Duration(e.ID)})
		default:
			step(Tick{})
		}
	}
	o.busy /= lasts.Seconds() * float64(l.places)
	return o
}

// TestOverload: at three times what the members can do they stay busy, those that are served have waited for about the target at most, and
// the others are told so within the interval. Below it,
// hardly any is shed.
func TestOverload(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{2 * time.Millisecond, 200 * time.Millisecond} {
		for _, places := range []int{1, 8} {
			for _, fifo := range []bool{false, true} {
				name := fmt.Sprintf("%s each, %d places, fifo %v", takes, places, fifo)
				o := load{Options{FIFO: fifo, Target: strict.Target, Interval: strict.Interval}, places, takes, 3}.simulate(t)
				target, interval := max(5*time.Millisecond, 2*takes), max(100*time.Millisecond, 10*takes)
				// The first overload is found out after an interval, in which requests wait for as long.
				p95, slowest, told := o.percentile(o.waits, 95), o.percentile(o.waits, 99), o.percentile(o.sheds, 99)
				t.Logf("%s: busy %.3f, %d of %d served, waits p95 %s, p99 %s, shed after p99 %s", name, o.busy, o.served, o.offered, p95, slowest, told)
				if o.busy < 0.95 {
					t.Errorf("%s: the members are busy for %.2f of the time", name, o.busy)
				}
				if p95 > 3*target {
					t.Errorf("%s: 95 %% of those served have waited for up to %s", name, p95)
				}
				if told > 2*interval {
					t.Errorf("%s: 99 %% of those shed were told after up to %s", name, told)
				}
			}
			// One place at 0.7 has a queue of two or three for most of the time, so that some wait for long.
			if o := (load{strict, places, takes, 0.7}).simulate(t); float64(o.shed) > float64(o.offered)*map[int]float64{1: 0.06, 8: 0.005}[places] {
				t.Errorf("%s each, %d places, at 0.7: %d of %d were shed", takes, places, o.shed, o.offered)
			}
		}
	}
}
