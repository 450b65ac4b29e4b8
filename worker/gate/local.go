package gate

import (
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tickets"
)

// A local member is a worker of this host that has a slot in a book of tickets. What it has in flight is known, not reported: the requests
// of all gateways, and those that came to it by other ways. A place there is a row of the book, so that max_in_flight holds for all
// gateway processes together, and ends when the worker is through with the request, not when this gateway is.

// localize notes which slot a member has, and keeps the slot's own count right.
func (p *Picker) localize(l *live, m *members.Member, now int64) {
	if p.options.Local == nil {
		return
	}
	if l.slot = p.options.Local(m); l.slot != nil {
		l.slot.Correct(now)
	}
}

// ever is how many requests were ever sent. It is for the goroutine that gives the tables.
func (l *live) ever() int64 { return everSent(l.slot, l.Counter) }

// everSent is how many requests were ever sent to the member of a slot, or without a slot to that of a counter.
func everSent(slot *tickets.Slot, c *Counter) int64 {
	if slot != nil {
		return slot.Tickets()
	}
	return c.Sent.Load()
}

// inFlight is how many requests the gateways that share its counter have at the member.
func (m *member) inFlight() int64 {
	if m.slot != nil {
		return int64(m.slot.Taken(m.MaxInFlight))
	}
	return m.live.InFlight.Load()
}

// reserveRow takes a row.
func (m *member) reserveRow(r *Request) (ok bool) {
	if r.ticket, ok = m.slot.Reserve(m.owner, m.MaxInFlight); ok {
		m.live.Sent.Add(1)
	}
	return ok
}

// stopped reports whether the member's worker has requests and does not run.
func (m *member) stopped(now int64) bool {
	return m.slot != nil && m.slot.Taken(m.MaxInFlight) > 0 && !m.slot.Beats(now)
}

// passedOver reports whether others are to be picked, if there are any.
func (m *member) passedOver(now int64) bool {
	return m.live.refusedUntil.Load() > now || m.stopped(now)
}

// Ticket is the one that the request gets. ok: it has one, as its member is local.
func (k Pick) Ticket() (t tickets.Ticket, ok bool) { return k.ticket, !k.ticket.None() }

// State is what has become of the ticket of a Pick that has one.
func (k Pick) State() tickets.State {
	if k.ticket.None() {
		return tickets.Unknown
	}
	return k.member.slot.State(k.ticket)
}

// Withdraw takes the ticket back. true: the request has not begun and never will, and may go to another member; the place stays taken until
// Release, or until the member has seen that. A Pick without a ticket cannot be taken back.
func (k Pick) Withdraw() bool { return !k.ticket.None() && k.member.slot.Withdraw(k.ticket) }

// Instead picks another member for a request that waits at the member of a Pick and has not begun: a local one that runs and has
// strictly fewer requests, for its weight. false: there is none, or the request belongs to the member where it is, by its key or as it has
// asked for it.
func (p *Picker) Instead(r Request, of Pick) (Pick, bool) {
	if ByKey(p.options.Way) || r.Prefer != "" && r.Prefer == of.Member().ID || of.member.slot == nil {
		return Pick{}, false
	}
	s := p.now.Load()
	var found *member
	lowest := of.member.load() / of.member.Weight
	for _, m := range s.usable {
		if m.slot == nil || m.live.Counter == of.member.live.Counter || !s.may(m, &r) || !m.slot.Beats(r.Now) {
			continue
		}
		if c := m.load() / m.Weight; c < lowest {
			found, lowest = m, c
		}
	}
	if found == nil || !s.reserve(found, &r) {
		return Pick{}, false
	}
	found.live.pickedAt.Store(r.Now)
	return Pick{picker: p, member: found, at: r.Now, ticket: r.ticket}, true
}
