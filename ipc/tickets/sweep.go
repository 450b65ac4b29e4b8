package tickets

import "time"

// Sweep frees the rows of gateways' workers that are gone, and what no step has written. The master calls it when a gateway's worker has
// ended. alive says of an owner whether it may still run; it is called often. A request that a worker runs keeps its row until it ends.
func (b *Book) Sweep(alive func(Owner) bool) {
	all := b.used()
	for i := range all {
		s := &all[i]
		for j := range s.rows {
			w := s.rows[j].Load()
			switch {
			case isFree(w):
			case !sound(w):
				s.free(&s.rows[j], w)
			case !alive(ownerOf(w)):
				s.Release(s.ticket(j, w))
			}
		}
		s.correct()
		s.correct()
	}
}

// Ended frees what the worker in a seat of a slot has held. The master calls it when the process has ended, before another gets the seat.
// Requests that were sent and have not begun stay: they wait in the slot's socket for its next worker. A slot outside 0 to Slots-1 is none.
func (b *Book) Ended(slot, seat int) {
	s := b.Slot(slot)
	if s == nil {
		return
	}
	s.header.seats[seat&1].direct.Store(0)
	s.header.seats[seat&1].beat.Store(0)
	for j := range s.rows {
		w := s.rows[j].Load()
		if state := w & stateBits; sound(w) && (state == begun || state == left) {
			s.End(s.ticket(j, w), seat) // which does nothing if the other seat has begun it
		}
	}
	s.correct()
	s.correct()
}

// ticket is that of a row with the word w.
func (s *Slot) ticket(row int, w uint64) Ticket {
	return Ticket{slot: uint16(s.index), row: uint16(row), word: in(sent, w)}
}

// Correct brings the hint of how many rows are taken to what the rows say, once it was off by the same in two looks, which are at least
// lookEvery apart: a process that was killed between the two counts for ever, and one that is between the two does not. now is in
// nanoseconds of ipc.Monotonic. One goroutine of a process calls it for a slot.
func (s *Slot) Correct(now int64) {
	if now-s.looked >= int64(lookEvery) {
		s.looked = now
		s.correct()
	}
}

const lookEvery = 50 * time.Millisecond

func (s *Slot) correct() {
	hint := s.header.taken.Load()
	n := int64(0)
	for i := range s.rows {
		if !isFree(s.rows[i].Load()) {
			n++
		}
	}
	off := hint - n
	if off != 0 && off == s.off && s.header.taken.CompareAndSwap(hint, n) {
		off = 0
	}
	s.off = off
}
