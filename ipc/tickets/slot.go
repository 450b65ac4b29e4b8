package tickets

import (
	"math/rand/v2"

	"github.com/tinehq/tine/ipc"
)

// Slot is one slot of a book. Its methods take no lock and allocate nothing.
type Slot struct {
	book   *Book
	index  int
	header *header
	rows   *rows

	looked int64 // when Correct looked last, and
	off    int64 // by how much the hint was off then
}

// use has the sweeps look at the slot.
func (s *Slot) use() {
	h := s.book.head()
	for {
		n := h.used.Load()
		if n > uint64(s.index) || h.used.CompareAndSwap(n, uint64(s.index)+1) {
			return
		}
	}
}

// bound is the number of rows that a limit allows. A limit of 0 is none.
func bound(limit int) int {
	if limit <= 0 || limit > Rows {
		return Rows
	}
	return limit
}

// Reserve takes a row among the first limit ones; 0: among all. false: all of them are taken. Where a limit has become smaller, requests
// beyond it end first.
func (s *Slot) Reserve(owner Owner, limit int) (Ticket, bool) {
	if owner == 0 || owner > mostOwner {
		return Ticket{}, false
	}
	n := bound(limit)
	at := int(rand.Uint32N(uint32(n))) // gateways that start at the same row would meet at each
	for range n {
		row := &s.rows[at]
		if w := row.Load(); isFree(w) {
			next := w + oneMore | uint64(owner)<<ownerAt | sent
			if row.CompareAndSwap(w, next) {
				s.header.taken.Add(1)
				s.header.sent.Add(1)
				s.use()
				return Ticket{slot: uint16(s.index), row: uint16(at), word: next}, true
			}
		}
		if at++; at == n {
			at = 0
		}
	}
	return Ticket{}, false
}

// at is the row of a ticket of this slot; nil: the ticket is of another.
func (s *Slot) at(t Ticket) *place {
	if int(t.slot) != s.index || int(t.row) >= Rows || t.word&stateBits != sent {
		return nil
	}
	return &s.rows[t.row]
}

// Begin takes a ticket that was sent: the caller runs its request, and calls End after it. false: it was withdrawn, given up, begun before
// or was never sent, and the request must not run. seat is the seat of the calling worker, 0 or 1.
func (s *Slot) Begin(t Ticket, seat int) bool {
	row := s.at(t)
	if row == nil {
		return false
	}
	if row.CompareAndSwap(t.word, in(begun, t.word)|uint64(seat&1)*seatBit) {
		s.header.seats[seat&1].begun.Add(1)
		return true
	}
	s.free(row, in(withdrawn, t.word))
	return false
}

// End says that the request of a ticket that Begin has taken is over.
func (s *Slot) End(t Ticket, seat int) {
	row := s.at(t)
	if row == nil {
		return
	}
	w := in(begun, t.word) | uint64(seat&1)*seatBit
	if !row.CompareAndSwap(w, w-begun+ended) {
		s.free(row, w-begun+left)
	}
}

// Withdraw takes a ticket back. true: its request has not begun and never will, so that it may be sent elsewhere. The row is taken until
// the worker has seen that, or Release.
func (s *Slot) Withdraw(t Ticket) bool {
	row := s.at(t)
	return row != nil && (row.CompareAndSwap(t.word, in(withdrawn, t.word)) || s.State(t) == Withdrawn)
}

// Release ends the gateway's part in a ticket. A request that has not begun never will. The row is free at once, or, if the worker's
// handler still runs, when that returns.
func (s *Slot) Release(t Ticket) {
	row := s.at(t)
	if row == nil {
		return
	}
	for range mostSteps {
		w := row.Load()
		if !sameTicket(w, t.word) {
			return
		}
		switch w & stateBits {
		case sent, withdrawn, ended:
			if s.free(row, w) {
				return
			}
		case begun:
			if row.CompareAndSwap(w, w-begun+left) {
				return
			}
		default:
			return
		}
	}
}

// mostSteps is more than a ticket can make while it is released. Where another process writes rubbish, the next Sweep goes on.
const mostSteps = 8

// free makes a row free that has the word w, and wakes who waits for one.
func (s *Slot) free(row *place, w uint64) bool {
	if !row.CompareAndSwap(w, freed(w)) {
		return false
	}
	s.header.taken.Add(-1)
	s.book.tell()
	return true
}

// State is what has become of a ticket.
type State uint8

// The states of a ticket.
const (
	Unknown   State = iota // its row is another's, or was overwritten: whether it had begun is not known
	Sent                   // it has not begun
	Begun                  // its handler runs, or has returned
	Withdrawn              // it has not begun, and never will
)

// State returns it for a ticket that its gateway has not released.
func (s *Slot) State(t Ticket) State {
	row := s.at(t)
	if row == nil {
		return Unknown
	}
	w := row.Load()
	switch {
	case !sameTicket(w, t.word) || !sound(w) || isFree(w):
		return Unknown
	case w&stateBits == sent:
		return Sent
	case w&stateBits == withdrawn:
		return Withdrawn
	}
	return Begun
}

// counted is the limit up to which the rows themselves are counted: two lines of the cache.
const counted = 16

// Taken is how many rows are taken, 0 to Rows: exact up to a limit of 16, else a hint that Correct keeps right.
func (s *Slot) Taken(limit int) int {
	if limit > 0 && limit <= counted {
		n := 0
		for i := range limit {
			if !isFree(s.rows[i].Load()) {
				n++
			}
		}
		return n
	}
	return int(min(max(s.header.taken.Load(), 0), Rows))
}

// Tickets is how many there have ever been. It only grows.
func (s *Slot) Tickets() int64 { return s.header.sent.Load() }

// Direct is how many requests the slot's workers have that came by other ways than a gateway with tickets.
func (s *Slot) Direct() int {
	n := int64(0)
	for i := range s.header.seats {
		n += min(max(s.header.seats[i].direct.Load(), 0), 1<<30)
	}
	return int(n)
}

// Begun is how many tickets the slot's workers have begun.
func (s *Slot) Begun() (n int64) {
	for i := range s.header.seats {
		n += s.header.seats[i].begun.Load()
	}
	return n
}

// Beats reports whether a worker of the slot runs, as far as can be seen at now: it has beaten within BeatStale, or it rests and has nothing
// to do.
func (s *Slot) Beats(now int64) bool {
	last := int64(0)
	for i := range s.header.seats {
		last = max(last, s.header.seats[i].beat.Load())
	}
	if last == 0 {
		return s.header.taken.Load() <= 0
	}
	return now-last < int64(BeatStale)
}

// Beat says that the worker in a seat runs. rests: it has had no request for a while, and does not beat until the next one.
func (s *Slot) Beat(seat int, rests bool) {
	at := int64(0)
	if !rests {
		at = ipc.Monotonic()
	}
	s.header.seats[seat&1].beat.Store(at)
}

// AddDirect counts a request of another way than a gateway with tickets: 1 when it begins, -1 when it ends.
func (s *Slot) AddDirect(seat int, n int64) { s.header.seats[seat&1].direct.Add(n) }
