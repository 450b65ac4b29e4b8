package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/queue"
)

// counts are the requests that have ended since the worker was started. It may be used by all goroutines at once.
type counts struct {
	answered                               [5]atomic.Uint64
	gone, failed, tries, resent, withdrawn atomic.Uint64
}

// over counts a request.
func (c *counts) over(a proxy.Access) {
	if class := a.Status/100 - 1; class >= 0 && class < len(c.answered) {
		c.answered[class].Add(1)
	} else {
		c.gone.Add(1)
	}
	if a.Err != nil {
		c.failed.Add(1)
	}
	c.tries.Add(uint64(a.Tries))
	c.resent.Add(uint64(max(a.Tries-1-a.Withdrawn, 0)))
	c.withdrawn.Add(uint64(a.Withdrawn))
}

func (c *counts) requests() (r tallies.Requests) {
	for i := range c.answered {
		r.Answered[i] = c.answered[i].Load()
	}
	r.Gone, r.Failed, r.Tries, r.Resent, r.Withdrawn = c.gone.Load(), c.failed.Load(), c.tries.Load(), c.resent.Load(), c.withdrawn.Load()
	return r
}

// paceTime is the time over which picks a second are measured, at least; at most it is twice that.
const paceTime = 5 * time.Second

// pace has a count as it was at two times, the newer one no more than paceTime ago.
type pace struct {
	counts, at [2]int64
}

func newPace(now int64) *pace { return &pace{at: [2]int64{now, now}} }

// mark moves on. It is called more often than once in paceTime.
func (p *pace) mark(now, count int64) {
	if now-p.at[1] >= int64(paceTime) {
		p.counts, p.at = [2]int64{p.counts[1], count}, [2]int64{p.at[1], now}
	}
}

// perSecond is how fast the count has grown. Less than a second counts as one.
func (p *pace) perSecond(now, count int64) float64 {
	return float64(max(count-p.counts[0], 0)) / max(time.Duration(now-p.at[0]).Seconds(), 1)
}

// tally asks run what it knows.
func (d *documents) tally(ctx context.Context) (tallies.Tally, error) {
	reply := make(chan tallies.Tally, 1)
	select {
	case d.asked <- reply:
		return <-reply, nil
	case <-d.worker.Done():
		return tallies.Tally{}, errors.New("the gateway's worker has ended")
	case <-ctx.Done():
		return tallies.Tally{}, ctx.Err()
	}
}

// mark moves the paces of all members on.
func (d *documents) mark(now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.counters {
		if p := d.paces[id]; p != nil {
			p.mark(now, c.Sent.Load())
		} else {
			d.paces[id] = newPace(now) // its first picks came a moment ago
		}
	}
}

// known is what this worker knows. It is called by run's goroutine.
func (d *documents) known(now int64) tallies.Tally {
	t := tallies.Tally{Version: tallies.Version, Listed: len(d.table.Members), Requests: d.shared.counts.requests(), Members: []tallies.Member{}}
	var seen map[string]gate.Candidate
	t.Pools, seen = poolsOf(d.current(), now)
	t.Continue(&d.past)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.table.Members {
		if m.State == members.Ready && m.Weight > 0 {
			t.Ready++
		}
		if one := d.memberOf(m, seen, now); len(m.ID) <= tallies.MostText {
			t.Add(one)
		} else {
			t.Leave(one)
		}
	}
	return t
}

// replaced keeps what the queues of an assembly have counted, as another takes its place.
func (d *documents) replaced(a *assembly) {
	past := tallies.Tally{}
	past.Pools, _ = poolsOf(a, 0)
	past.Continue(&d.past)
	d.past = past
}

// poolsOf are the pools of an assembly by type, and the members as they see them.
func poolsOf(a *assembly, now int64) ([]tallies.Pool, map[string]gate.Candidate) {
	pools, seen := []tallies.Pool{}, map[string]gate.Candidate{}
	a.pools.Each(func(kind string, p *gate.Picker, q *queue.Queue) {
		candidates, ready := p.Candidates(now), 0
		for _, c := range candidates {
			if c.State == members.Ready && c.Weight > 0 {
				ready++
			}
			if before, twice := seen[c.ID]; !twice || better(c, before) {
				seen[c.ID] = c
			}
		}
		kind = cut(kind)
		one := tallies.Pool{Type: kind, Way: p.Way(), Members: len(candidates), Ready: ready, Queue: queueOf(q)}
		i := slices.IndexFunc(pools, func(o tallies.Pool) bool { return o.Type == kind })
		switch {
		case i >= 0 && pools[i].Queue == nil:
			pools[i] = one // of members that clients are sent to, which have no queue, and those of their type
		case i < 0 && len(pools) < tallies.MostPools:
			pools = append(pools, one)
		}
	})
	slices.SortFunc(pools, func(a, b tallies.Pool) int { return strings.Compare(a.Type, b.Type) })
	return pools, seen
}

// better reports whether a pool says more of a member than another pool that has it too: the one that is used knows the latency, or why the
// member is not picked.
func better(c, before gate.Candidate) bool {
	picks, _ := c.Reason()
	did, _ := before.Reason()
	return did && !picks || did == picks && before.Latency == 0 && c.Latency > 0
}

// memberOf is what is known of one member; seen is how pools see it. It is called with mu held.
func (d *documents) memberOf(m members.Member, seen map[string]gate.Candidate, now int64) tallies.Member {
	one := tallies.Member{
		ID: m.ID, Type: cut(m.Type), State: m.State, Weight: m.Weight, MaxInFlight: m.MaxInFlight, Why: "no request leads to it",
	}
	report := m.Report
	if c, ok := seen[m.ID]; ok {
		one.State, report = c.State, c.Report // which an evaluation has changed
		one.Picked, one.Why = c.Reason()
		one.Local, one.LatencyMS = c.Local, inMS(int64(c.Latency))
		if c.Local {
			one.InFlight = int(c.InFlight)
		}
	}
	if report != nil {
		one.ReportAgeMS = inMS(max(now-report.ReceivedAt, 1))
	}
	if one.Picked && m.Why != "" {
		one.Why += ": " + m.Why
	}
	one.Why = cut(one.Why)
	if c := d.counters[m.ID]; c != nil {
		one.InFlight += int(c.InFlight.Load())
		one.Picks, one.Failed = uint64(c.Sent.Load()), uint64(c.Failed.Load())
		p := d.paces[m.ID]
		if p == nil {
			p = newPace(now)
		}
		one.PicksSecond = p.perSecond(now, c.Sent.Load())
	}
	return one
}

func queueOf(q *queue.Queue) *tallies.Queue {
	if q == nil {
		return nil
	}
	s := q.Stats()
	t := &tallies.Queue{
		Waiting: s.Waiting, Bytes: s.Bytes, State: s.State, Admitted: s.Admitted, Left: s.Left, Waits: s.Waits,
		Full: s.Shed[queue.QueueFull], Timeout: s.Shed[queue.TooLong], Deadline: s.Shed[queue.DeadlinePassed], NoMember: s.Shed[queue.NoMember],
	}
	t.Measure()
	return t
}

// cut bounds a text.
func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), tallies.MostText)], "")
}

func inMS(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
