package gate

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// herd is a simulation in virtual time: members that serve one request after the other, gateways that each know only what they have
// sent themselves, and reports that come once a second.
type herd struct {
	members, gateways int
	seed              uint64
}

// answer is the end of one request.
type answer struct {
	at, began int64
	k         Pick
	member    int
}

type answers []answer

func (a answers) Len() int           { return len(a) }
func (a answers) Less(i, j int) bool { return a[i].at < a[j].at }
func (a answers) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *answers) Push(x any)        { *a = append(*a, x.(answer)) }
func (a *answers) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

const (
	herdService = 10 * time.Millisecond // the mean of all but the first member, which takes three times as long
	herdLoad    = 0.7
	herdTime    = 30 // seconds
)

// p99 is that of the response times by a way; "": each request goes to the member with the fewest in flight at that moment.
func (h herd) p99(t testing.TB, way string) time.Duration {
	r := rand.New(rand.NewPCG(h.seed, 7))
	var gateways []*Picker
	for range h.gateways {
		o := Options{Way: way, Rand: r.Uint64, Score: Score{Multipliers: map[members.Stat]float64{members.QueueWait: 1}}}
		if way == "" {
			o.Way = Least
		}
		gateways = append(gateways, picker(t, o, table(h.members)))
	}
	speed := func(m int) float64 { // requests a nanosecond
		if m == 0 {
			return 1 / float64(3*herdService)
		}
		return 1 / float64(herdService)
	}
	capacity := 0.0
	for m := range h.members {
		capacity += speed(m)
	}
	inFlight, free := make([]int, h.members), make([]int64, h.members)
	var open answers
	var took []time.Duration
	now, report, refresh, sequence := second, second, second, uint64(0)
	for end := second * (herdTime + 1); now < end; {
		now += int64(r.ExpFloat64() / (herdLoad * capacity))
		for len(open) > 0 && open[0].at <= now {
			a := heap.Pop(&open).(answer)
			inFlight[a.member]--
			if a.k.member != nil {
				a.k.Done(a.at, Answered)
			}
			took = append(took, time.Duration(a.at-a.began))
		}
		if now >= report {
			report += second
			sequence++
			told := table(h.members, func(i int, m *members.Member) {
				m.Report = &members.Report{Epoch: 1, Sequence: sequence, ReceivedAt: now, Stats: map[members.Stat]members.Value{
					members.InFlight: float64(inFlight[i]), members.QueueWait: max(float64(free[i]-now), 0) / float64(time.Millisecond),
				}}
			})
			for _, p := range gateways {
				p.Update(told, now)
			}
		}
		if now >= refresh {
			refresh += int64(RefreshEvery)
			for _, p := range gateways {
				p.Refresh(now)
			}
		}
		a := answer{began: now}
		if way == "" {
			a.member = fewest(r, inFlight)
		} else {
			a.k = mustPick(t, gateways[r.IntN(len(gateways))], Request{Now: now})
			if _, err := fmt.Sscanf(a.k.Member().ID, "m%d", &a.member); err != nil {
				t.Fatal(err)
			}
		}
		free[a.member] = max(free[a.member], now) + int64(r.ExpFloat64()/speed(a.member))
		a.at = free[a.member]
		inFlight[a.member]++
		heap.Push(&open, a)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func fewest(r *rand.Rand, inFlight []int) int {
	all := r.Perm(len(inFlight))
	return slices.MinFunc(all, func(a, b int) int { return inFlight[a] - inFlight[b] })
}

// TestHerd: with reports that are a second old, and however many gateways, the default keeps the 99th percentile within twice that of
// one who sees all queues at once. The others are told.
func TestHerd(t *testing.T) {
	t.Parallel()
	for _, gateways := range []int{1, 4, 16} {
		for seed := range uint64(2) {
			h := herd{members: 10, gateways: gateways, seed: seed}
			exact := h.p99(t, "")
			for _, way := range []string{Prequal, PeakEWMA, Least, P2C, RoundRobin} {
				if way != Prequal && seed > 0 {
					continue
				}
				got := h.p99(t, way)
				t.Logf("%2d gateways, %-11s p99 %7.1f ms, %.2fx of exact", gateways, way, got.Seconds()*1e3, float64(got)/float64(exact))
				if way == defaultWay && got > 2*exact {
					t.Errorf("%d gateways, seed %d, %s: p99 %s, and one who sees all has %s", gateways, seed, way, got, exact)
				}
			}
		}
	}
}
