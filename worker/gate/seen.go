package gate

import (
	"fmt"
	"math"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// MostCandidates is how many members of a table a Seen holds.
const MostCandidates = 16

// Seen is what one pick saw of the members, and what it chose. It has a fixed size and holds no snapshot: of a table it keeps the
// IDs and the reports of its candidates alive, and nothing else. The caller of Pick owns it. Each pick overwrites it.
type Seen struct {
	At      int64  // Request.Now
	Way     string // one of Ways
	Members int    // in the table
	Ready   int    // of them ready and of a weight
	N       int    // how many of Candidates count
	Chosen  int    // index of the member that was picked; -1: none was
	Trial   bool   // it was picked because it was owed a trial, and not for its cost

	Preferred bool // it was picked because the request prefers it, as one of a user that stays at a member does

	// Candidates are all members of the table, in its order. Of a table of more than MostCandidates they are the member that was
	// picked and those that the pick compared first.
	Candidates [MostCandidates]Candidate
}

// Candidate is one member as a pick saw it.
type Candidate struct {
	ID     string
	State  members.State
	Why    string // of a state other than ready
	Aside  string // why only requests that prefer it go to it
	Weight float64

	InFlight    int32 // requests that the gateways that share its counter have there, without the one that was picked for; and who stays (Options.Stays)
	MaxInFlight int32 // 0: there is no bound
	Refusals    int32 // connections that it has refused in a row
	Sent        int64 // requests that were sent to it since its report

	Score      float64       // of ByScore: 0 for the best to 1 for the worst
	Cost       float64       // what the way minimises; 0 where it minimises nothing
	Latency    time.Duration // 0: it is not known
	RefusedFor time.Duration // for so long it is passed over, as it has refused

	Local      bool // a worker of this host that has a slot in a book of tickets: InFlight is that of all gateways
	Stopped    bool // it has requests, and its worker does not run
	Unknown    bool // what the way goes by is not known of it
	AllUnknown bool // nor of any other member
	Tried      bool // it was tried for this request before

	Report *members.Report // shared: it must not be changed; nil: there is none
}

// candidate is m as it is at now. own is 1 where a request that was just picked is counted there, else 0.
func (s *snapshot) candidate(p *Picker, m *member, now, own int64) Candidate {
	c := Candidate{
		ID: m.ID, State: m.State, Why: m.Why, Aside: m.Aside, Weight: m.Weight,
		InFlight: int32(min(m.inFlight()-own+m.stays, math.MaxInt32)), MaxInFlight: int32(m.MaxInFlight), Refusals: int32(m.live.refusals.Load()),
		Sent: int64(m.sent()), Score: m.score, RefusedFor: max(time.Duration(m.live.refusedUntil.Load()-now), 0),
		Local: m.slot != nil, Stopped: m.stopped(now), Unknown: m.unknown, AllUnknown: s.known == 0, Report: m.Report,
	}
	if m.reported {
		c.Sent -= own
	}
	if v, known := m.live.latency.now(now, s.median); known {
		c.Latency = time.Duration(v)
	}
	if !m.usable {
		return c
	}
	switch p.options.Way {
	case Least, P2C:
		c.Cost = byLoad(m)
	case Prequal, PeakEWMA:
		c.Cost = byLatency(m)
	case ByScore:
		c.Cost = byScore(m)
	}
	return c
}

// Reason is why the member may be picked or not, in words.
func (c *Candidate) Reason() (picks bool, text string) {
	switch {
	case c.State != members.Ready && c.Why != "":
		return false, string(c.State) + ": " + c.Why
	case c.State != members.Ready:
		return false, string(c.State)
	case c.Weight == 0:
		return false, "its weight is 0"
	case c.Aside != "":
		return false, c.Aside
	case c.Tried:
		return false, "it was tried for this request"
	case c.MaxInFlight > 0 && c.InFlight >= c.MaxInFlight:
		return false, fmt.Sprintf("full: %d of %d requests in flight", c.InFlight, c.MaxInFlight)
	case c.RefusedFor > 0:
		return false, fmt.Sprintf("it has refused %d connections; for %s", c.Refusals, c.RefusedFor.Round(time.Millisecond))
	case c.Stopped:
		return false, "its worker has requests and shows no sign of life"
	case c.Unknown && c.AllUnknown:
		return true, "unknown, as all are"
	case c.Unknown:
		return true, "unknown: it gets one request at a time"
	}
	return true, "ready"
}

// see fills v with what a pick of chosen, which may be nil, saw.
func (s *snapshot) see(v *Seen, p *Picker, r *Request, chosen *member, trial bool) {
	v.At, v.Way, v.Members, v.Ready, v.N, v.Chosen, v.Trial = r.Now, p.options.Way, len(s.all), len(s.usable), 0, -1, trial
	add := func(m *member) {
		own := int64(0)
		if m == chosen {
			own, v.Chosen = 1, v.N
		}
		v.Candidates[v.N] = s.candidate(p, m, r.Now, own)
		v.Candidates[v.N].Tried = r.tried(m)
		v.N++
	}
	if len(s.all) <= MostCandidates {
		for i := range s.all {
			add(&s.all[i])
		}
		return
	}
	if chosen != nil {
		add(chosen)
	}
	for i := range s.usable {
		if m := s.usable[(int(r.from)+i)%len(s.usable)]; m != chosen {
			add(m)
		}
		if v.N == MostCandidates {
			return
		}
	}
}
