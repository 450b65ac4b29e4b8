package tallies

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Sum is what several workers of one gateway know together. Counts are sums; of a latency it is the mean by picks a second; a member may be
// picked if one worker may. The members are those of the first Tally, in its order, and after them what only others have: a table may be a
// moment old. It shares nothing with all that changes.
func Sum(all []Tally) Tally {
	s := summing{sum: Tally{Version: Version, Pools: []Pool{}, Members: []Member{}}, at: map[string]*merged{}}
	for i := range all {
		s.add(&all[i])
	}
	return s.end()
}

type summing struct {
	sum   Tally
	order []*merged
	at    map[string]*merged // by the ID of the member
}

// merged is one member, as several workers see it.
type merged struct {
	Member
	workers, picked   int
	latency, measured float64 // sums of latency x weight, and of weights
	why, whyNot       string  // of the first that may pick it, and that may not
}

func (s *summing) add(t *Tally) {
	s.sum.Listed, s.sum.Ready = max(s.sum.Listed, t.Listed), max(s.sum.Ready, t.Ready)
	s.sum.Requests.add(&t.Requests)
	for _, p := range t.Pools {
		s.pool(p)
	}
	for _, m := range t.Members {
		s.member(m)
	}
	if t.Rest != nil {
		if s.sum.Rest == nil {
			s.sum.Rest = &Rest{}
		}
		r := s.sum.Rest
		r.Members, r.Ready = max(r.Members, t.Rest.Members), max(r.Ready, t.Rest.Ready)
		r.InFlight += t.Rest.InFlight
		r.Picks += t.Rest.Picks
		r.Failed += t.Rest.Failed
		r.PicksSecond += t.Rest.PicksSecond
	}
}

func (r *Requests) add(o *Requests) {
	for i, n := range o.Answered {
		r.Answered[i] += n
	}
	r.Gone += o.Gone
	r.Failed += o.Failed
	r.Tries += o.Tries
	r.Resent += o.Resent
	r.Withdrawn += o.Withdrawn
}

func (s *summing) pool(p Pool) {
	i := slices.IndexFunc(s.sum.Pools, func(o Pool) bool { return o.Type == p.Type })
	if i < 0 {
		if p.Queue != nil {
			q := *p.Queue
			p.Queue = &q
		}
		s.sum.Pools = append(s.sum.Pools, p)
		return
	}
	o := &s.sum.Pools[i]
	o.Way, o.Members, o.Ready = cmp.Or(o.Way, p.Way), max(o.Members, p.Members), max(o.Ready, p.Ready)
	switch {
	case p.Queue == nil:
	case o.Queue == nil:
		q := *p.Queue
		o.Queue = &q
	default:
		o.Queue.add(p.Queue)
	}
}

// QueueStates are the states of a queue, the best first.
var QueueStates = []string{"calm", "recovering", "overloaded", "held"}

func (q *Queue) add(o *Queue) {
	if slices.Index(QueueStates, o.State) > slices.Index(QueueStates, q.State) {
		q.State = o.State
	}
	q.Waiting += o.Waiting
	q.Bytes += o.Bytes
	q.Admitted += o.Admitted
	q.Left += o.Left
	q.Full += o.Full
	q.Timeout += o.Timeout
	q.Deadline += o.Deadline
	q.NoMember += o.NoMember
	q.Waits.Add(&o.Waits)
}

// Measure has the quantiles be those of Waits.
func (q *Queue) Measure() {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	q.WaitP50MS, q.WaitP99MS = ms(q.Waits.Quantile(0.5)), ms(q.Waits.Quantile(0.99))
}

func (s *summing) member(m Member) {
	a := s.at[m.ID]
	if a == nil {
		a = &merged{Member: m}
		a.InFlight, a.Picks, a.Failed, a.PicksSecond = 0, 0, 0, 0
		s.at[m.ID], s.order = a, append(s.order, a)
	}
	a.workers++
	if m.Local {
		a.InFlight = max(a.InFlight, m.InFlight)
	} else {
		a.InFlight += m.InFlight
	}
	a.Picks += m.Picks
	a.Failed += m.Failed
	a.PicksSecond += m.PicksSecond
	if m.LatencyMS > 0 {
		weight := m.PicksSecond + 1e-3 // where none picks it now, all count the same
		a.latency, a.measured = a.latency+weight*m.LatencyMS, a.measured+weight
	}
	if m.ReportAgeMS > 0 && (a.ReportAgeMS == 0 || m.ReportAgeMS < a.ReportAgeMS) {
		a.ReportAgeMS = m.ReportAgeMS
	}
	if m.Picked {
		a.picked++
		a.why = cmp.Or(a.why, m.Why)
	} else {
		a.whyNot = cmp.Or(a.whyNot, m.Why)
	}
}

func (s *summing) end() Tally {
	for _, a := range s.order {
		m := a.Member
		if a.measured > 0 {
			m.LatencyMS = a.latency / a.measured
		}
		m.Picked = a.picked > 0
		switch not := a.workers - a.picked; {
		case not == 0:
			m.Why = a.why
		case a.picked == 0:
			m.Why = a.whyNot
		default:
			m.Why = fmt.Sprintf("not by %d of %d workers: %s", not, a.workers, a.whyNot)
		}
		s.sum.Add(m)
	}
	slices.SortStableFunc(s.sum.Pools, func(a, b Pool) int { return cmp.Compare(a.Type, b.Type) })
	for i := range s.sum.Pools {
		if q := s.sum.Pools[i].Queue; q != nil {
			q.Measure()
		}
	}
	return s.sum
}

// Add adds a member: to Members or, where those are MostMembers, to Rest.
func (t *Tally) Add(m Member) {
	if len(t.Members) < MostMembers {
		t.Members = append(t.Members, m)
		return
	}
	t.Leave(m)
}

// Leave adds a member to Rest.
func (t *Tally) Leave(m Member) {
	if t.Rest == nil {
		t.Rest = &Rest{}
	}
	t.Rest.Add(m)
}

// Continue adds what has happened by other, as counted by workers that have ended or are silent, and not what is. A member that t does not
// have is left out. It changes nothing that other has.
func (t *Tally) Continue(other *Tally) {
	t.Requests.add(&other.Requests)
	for i := range t.Pools {
		p := &t.Pools[i]
		j := slices.IndexFunc(other.Pools, func(o Pool) bool { return o.Type == p.Type })
		if p.Queue == nil || j < 0 || other.Pools[j].Queue == nil {
			continue
		}
		q := *other.Pools[j].Queue
		q.Waiting, q.Bytes, q.State = 0, 0, ""
		p.Queue.add(&q)
		p.Queue.Measure()
	}
	counted := make(map[string]*Member, len(other.Members))
	for i := range other.Members {
		counted[other.Members[i].ID] = &other.Members[i]
	}
	for i := range t.Members {
		if m := counted[t.Members[i].ID]; m != nil {
			t.Members[i].Picks += m.Picks
			t.Members[i].Failed += m.Failed
		}
	}
	if t.Rest != nil && other.Rest != nil {
		t.Rest.Picks += other.Rest.Picks
		t.Rest.Failed += other.Rest.Failed
	}
}

// Total is the sum of all members.
func (t *Tally) Total() (all Rest) {
	for _, m := range t.Members {
		all.Add(m)
	}
	if r := t.Rest; r != nil {
		all.InFlight += r.InFlight
		all.Picks += r.Picks
		all.Failed += r.Failed
		all.PicksSecond += r.PicksSecond
	}
	all.Members, all.Ready = t.Listed, t.Ready
	return all
}

// Queued is the sum of the queues of all pools. State is "" where there is none.
func (t *Tally) Queued() (all Queue) {
	for _, p := range t.Pools {
		if p.Queue != nil {
			all.add(p.Queue)
		}
	}
	all.Measure()
	return all
}
