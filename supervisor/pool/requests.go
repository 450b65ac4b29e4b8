package pool

import "time"

// requests says whether gateways hold the requests to the app. The workers do not know of it, and what they have in flight goes on. The
// wish is carried over to the next run of the app by the caller: see Pool.RequestsHeld.
type requests struct {
	held   bool
	since  time.Time
	until  time.Time // zero: until PassRequests
	reason string
}

func (p *Pool) holdRequests(ev HoldRequests) {
	switch p.phase {
	case idle, running:
		r := requests{held: true, since: p.now, reason: ev.Reason}
		if ev.For > 0 {
			r.until = p.now.Add(min(ev.For, century))
		}
		if p.requests.held {
			r.since = p.requests.since
		}
		p.requests = r
		p.record(Record{Kind: KindRequestsHeld, Reason: ev.Reason, Delay: max(ev.For, 0)})
	case stopping, killing:
		p.ignore("pause")
	}
}

func (p *Pool) passRequests(reason string) {
	if !p.requests.held {
		return
	}
	took := p.now.Sub(p.requests.since)
	p.requests = requests{}
	p.record(Record{Kind: KindRequestsPassed, Reason: reason, Took: took})
}

// RequestsHeld is the order that another run of the app goes on with, at now; false: its requests are not held.
func (p *Pool) RequestsHeld(now time.Time) (HoldRequests, bool) {
	r := p.requests
	h := HoldRequests{Reason: r.reason}
	if !r.until.IsZero() {
		h.For = max(r.until.Sub(now), 1)
	}
	return h, r.held
}

// SavedRequests is the time for which requests are held.
type SavedRequests struct {
	SinceAgo time.Duration `json:"since_ago"`
	Bounded  bool          `json:"bounded,omitempty"`
	UntilIn  time.Duration `json:"until_in,omitempty"` // with Bounded
	Reason   string        `json:"reason,omitempty"`
}

func (r requests) saved(now time.Time) *SavedRequests {
	if !r.held {
		return nil
	}
	s := &SavedRequests{SinceAgo: now.Sub(r.since), Reason: r.reason}
	if !r.until.IsZero() {
		s.Bounded, s.UntilIn = true, r.until.Sub(now)
	}
	return s
}

func (s *SavedRequests) restored(at moments) (r requests) {
	if s == nil {
		return r
	}
	r = requests{held: true, since: at.past(s.SinceAgo), reason: s.Reason}
	if s.Bounded {
		r.until = at.future(s.UntilIn)
	}
	return r
}

// RequestsStatus is since when, and until when, requests are held.
type RequestsStatus struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: it has no end
	Reason string    `json:"reason,omitempty"`
}

func (r requests) status() *RequestsStatus {
	if !r.held {
		return nil
	}
	return &RequestsStatus{r.since, r.until, r.reason}
}
