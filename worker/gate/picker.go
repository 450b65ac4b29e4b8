package gate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tickets"
)

// Why Pick has chosen no member.
var (
	ErrNoMember = errors.New("no member is ready")
	ErrFull     = errors.New("every member that is ready has as many requests as it may have")
	ErrTried    = errors.New("every member that is ready was tried")
)

// Picker chooses members. Pick, Explain and Pick.Done may be called by all goroutines at once; Update and Refresh by one at a time.
type Picker struct {
	options Options
	now     atomic.Pointer[snapshot]
	turn    atomic.Uint64 // of those that go by turns
	times   times
	halved  int64
	share   float64 // how many times as many requests all gateways send to members that report as those that share the counters
	lives   map[string]*live

	// Of the trials that members get which were not picked for a while.
	credit float64 // how many may be offered
	at     int64   // when that was computed last, and
	before int64   // the picks until then
}

// Request is what Pick chooses for.
type Request struct {
	// Key says, for ways by key, what goes to the same member. Others do not look at it.
	Key string
	// Now is the time, in nanoseconds of ipc.Monotonic.
	Now int64
	// Tried are picks for the same request that have failed: their members are passed over.
	Tried []Pick
	// Seen, unless it is nil, gets what the pick saw. It belongs to the caller again when Pick returns.
	Seen *Seen
	// Prefer is the ID of the member that is picked, in every way, if it has room, was not tried and is ready; else, and where it is
	// "", the way decides. Draining: it is picked while it drains, too.
	Prefer   string
	Draining bool

	ticket tickets.Ticket // of the place that was reserved

	anyone bool   // also one that has refused a moment ago
	from   uint64 // the first of the usable members that were compared
}

// New makes a Picker without members.
func New(o Options) (*Picker, error) {
	if o.Way == "" {
		o.Way = defaultWay
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Hot == 0 {
		o.Hot = defaultHot
	}
	if o.Rand == nil {
		o.Rand = rand.Uint64
	}
	if o.Counters == nil {
		o.Counters = func(string) *Counter { return new(Counter) }
	}
	p := &Picker{options: o, lives: map[string]*live{}, share: 1}
	p.now.Store(&snapshot{})
	return p, nil
}

// choose returns a member that may be picked (see snapshot.may), or nil. It is a switch, as through an interface each request would
// be allocated.
func (s *snapshot) choose(p *Picker, r *Request) *member {
	switch p.options.Way {
	case RoundRobin, WeightedRR:
		return s.byTurn(p, r)
	case Random:
		return s.atRandom(p, r)
	case First:
		return s.first(r)
	case Least:
		return s.best(p, r, byLoad)
	case P2C:
		return s.ofTwo(p, r, byLoad)
	case PeakEWMA:
		return s.bestOfPool(p, r, byLatency)
	case Prequal:
		return s.prequal(p, r)
	case ByScore:
		return s.best(p, r, byScore)
	case CRC32Mod:
		return s.crc32Mod(p, r)
	case Rendezvous:
		return s.rendezvous(p, r, hashOf(r.Key))
	case Maglev:
		return s.maglev(p, r)
	}
	panic("gate: a way that New has not refused")
}

// Pick is one request at one member: it counts as in flight there until Done. The zero Pick is none.
type Pick struct {
	picker *Picker
	member *member
	at     int64
	ticket tickets.Ticket // at a member with a slot
}

// Member is the one that was picked. It must not be changed.
func (k Pick) Member() *members.Member { return &k.member.Member }

// Pick chooses a member and reserves a place for one request there. The error is ErrNoMember, ErrFull or
// ErrTried.
func (p *Picker) Pick(r Request) (Pick, error) {
	s := p.now.Load()
	m := s.preferred(&r)
	preferred, trial := m != nil, false
	if m == nil {
		m = s.takeTrial(&r)
		trial = m != nil
	}
	for m == nil {
		if m = s.choose(p, &r); m == nil {
			if r.anyone {
				break
			}
			r.anyone = true // rather one that has refused a moment ago than none
		} else if !s.reserve(m, &r) {
			if !m.full() { // there is rubbish in its memory
				r.Tried = append(slices.Clip(r.Tried), Pick{member: m})
			}
			m = nil // others have taken the last place since it was chosen, so that it is not chosen again
		}
	}
	if r.Seen != nil {
		s.see(r.Seen, p, &r, m, trial)
		r.Seen.Preferred = preferred
	}
	switch {
	case m != nil:
		m.live.pickedAt.Store(r.Now)
		return Pick{picker: p, member: m, at: r.Now, ticket: r.ticket}, nil
	case len(s.usable) == 0:
		return Pick{}, ErrNoMember
	case r.triedAll(s):
		return Pick{}, ErrTried
	}
	return Pick{}, ErrFull
}

// Hopeful reports whether a member may become ready that is not: the table has one, of a weight, in whatever state.
func (p *Picker) Hopeful() bool {
	s := p.now.Load()
	for i := range s.all {
		if s.all[i].Weight > 0 {
			return true
		}
	}
	return false
}

// Outcome is how a request ended, as far as it says something of the member.
type Outcome uint8

const (
	// Answered: the member has answered, as it should.
	Answered Outcome = iota
	// Failed: the member could not be reached, died, or answered that it has failed.
	Failed
	// Refused: no connection could be made. The member is passed over for a tenth of a second, and longer if that goes on, as long
	// as others are there.
	Refused
	// Cancelled: the client has gone, or the request was taken back. It says nothing of the member.
	Cancelled
)

// Done gives up the place, and has the picker learn from how the request ended, at now. It is called once for each Pick, or else
// Release is.
func (k Pick) Done(now int64, how Outcome) {
	k.Release()
	k.Learn(now, how)
}

// Release gives up the place.
func (k Pick) Release() {
	if k.ticket.None() {
		k.member.live.InFlight.Add(-1)
	} else {
		k.member.slot.Release(k.ticket)
	}
	if f := k.picker.options.Released; f != nil {
		f(k.at)
	}
}

// Learn has the picker learn from how the request has gone until now. What it took so far is the member's latency: where an answer may
// last for long, as a stream does, Learn is called when it begins, and Release when it ends.
func (k Pick) Learn(now int64, how Outcome) {
	took, s := float64(max(now-k.at, 1)), k.picker.now.Load()
	if how == Failed || how == Refused {
		k.member.live.Failed.Add(1)
	}
	switch how {
	case Cancelled:
		return
	case Refused:
		k.member.live.refuse(now)
		took = max(took, s.failure)
	case Failed:
		took = max(took, s.failure)
	case Answered:
		k.member.live.accept()
		k.picker.times.add(took)
	}
	k.member.live.latency.sample(now, took, s.median, k.picker.options.Way == PeakEWMA)
}

// Update makes t what is picked from. now is in nanoseconds of ipc.Monotonic. What was counted and measured of a member stays for
// as long as it is in the tables, by its ID.
func (p *Picker) Update(t members.Table, now int64) {
	lives := make(map[string]*live, len(t.Members))
	told, own := 0.0, 0.0
	for i := range t.Members {
		m := &t.Members[i]
		l := p.lives[m.ID]
		if l == nil {
			l = &live{Counter: p.options.Counters(m.ID)}
		}
		p.localize(l, m, now)
		if l.hear(m.Report, now) {
			told, own = told+l.told, own+l.then
		}
		lives[m.ID] = l
	}
	p.lives = lives
	if own > 0 {
		p.share += (max(told/own, 1) - p.share) * newShare
	}
	p.now.Store(p.snapshotOf(t.Members, now, p.now.Load()))
}

// hear takes in a report, unless it is the one of the table before. It reports whether the report is new and has requests in flight.
func (l *live) hear(r *members.Report, now int64) bool {
	if r == nil {
		l.reported, l.tells = false, false
		return false
	}
	if l.reported && r.Epoch == l.epoch && r.Sequence == l.sequence {
		return false
	}
	l.reported, l.epoch, l.sequence, l.heardAt = true, r.Epoch, r.Sequence, now
	l.sentThen, l.then = l.ever(), float64(l.InFlight.Load())
	l.told, l.tells = r.Stats[members.InFlight]
	return l.tells
}

// exploration is how many trials may be offered to members that were not picked for a while: one a second, or one for a hundred picks.
func (p *Picker) exploration(now int64) float64 {
	picked := int64(0)
	for _, l := range p.lives {
		picked += l.ever()
	}
	p.credit += max(float64(now-p.at)/float64(trialEvery), float64(picked-p.before)/100)
	p.credit = min(p.credit, max(1, float64(len(p.lives))/10))
	p.at, p.before = now, picked
	return p.credit
}

// newShare is how much of a share that is measured anew counts: a single report is of a moment.
const newShare = 0.3

// RefreshEvery is the time between two calls of Refresh by a gateway.
const RefreshEvery = 100 * time.Millisecond

// Refresh takes in how time goes on: latencies decay, and members that are unknown, or were not picked for a second, get a trial.
func (p *Picker) Refresh(now int64) {
	if now-p.halved > int64(halfLife) {
		p.halved = now
		p.times.halve()
	}
	before := p.now.Load()
	for i := range before.table {
		m := &before.table[i]
		p.localize(p.lives[m.ID], m, now)
	}
	p.now.Store(p.snapshotOf(before.table, now, before))
}

// Reason is why a member is picked or not.
type Reason struct {
	ID    string
	Picks bool   // a request may go to it now
	Text  string // in words
}

// Way is how it picks: one of Ways.
func (p *Picker) Way() string { return p.options.Way }

// Candidates are all members as they are at now, in the order of the table.
func (p *Picker) Candidates(now int64) []Candidate {
	s := p.now.Load()
	all := make([]Candidate, len(s.all))
	for i := range s.all {
		all[i] = s.candidate(p, &s.all[i], now, 0)
	}
	return all
}

// Explain says it of each member, in the order of the table.
func (p *Picker) Explain(now int64) []Reason {
	candidates := p.Candidates(now)
	all := make([]Reason, 0, len(candidates))
	for i := range candidates {
		c := &candidates[i]
		picks, text := c.Reason()
		if picks {
			text += fmt.Sprintf("; %d in flight", c.InFlight)
			if c.Latency > 0 {
				text += fmt.Sprintf(", latency %s", c.Latency.Round(time.Microsecond))
			}
		}
		all = append(all, Reason{ID: c.ID, Picks: picks, Text: text})
	}
	return all
}
