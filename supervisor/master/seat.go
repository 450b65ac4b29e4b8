package master

import (
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// A slot has two workers while one takes over from the other, so it has two rows on the scoreboard: a seat for each.

// seats are the workers that hold the rows of one slot.
type seats [ipc.Seats]*member

// sit gives a worker a free seat of its slot. ok is false when there is none: a process that outlived SIGKILL holds a seat, and the
// numbers of two workers must not be mixed.
func (s *sockets) sit(m *member) (ok bool) {
	for seat, taken := range s.seats[m.slot] {
		if taken != nil {
			continue
		}
		seats := s.seats[m.slot]
		seats[seat] = m
		s.seats[m.slot] = seats
		s.Seat(m.slot, seat, uint64(m.id))
		m.seat, m.row = seat, s.Board().Row(m.slot, seat)
		m.live = snapshot.Take(m.row)
		return true
	}
	return false
}

// leave takes the seat back from a worker that is gone, and resets what the kernel still counts for connections that ended with it.
func (s *sockets) leave(m *member) {
	seats := s.seats[m.slot]
	if m.row == nil || seats[m.seat] != m {
		return
	}
	m.live.Leave()
	seats[m.seat] = nil
	s.seats[m.slot] = seats
	s.Vacate(m.slot, m.seat)
	m.row, m.live = nil, nil
}

// leaveAll has readers use no row any more: the memory is about to be unmapped.
func (s *sockets) leaveAll() {
	for _, seats := range s.seats {
		for _, m := range seats {
			if m != nil && m.live != nil {
				m.live.Leave()
			}
		}
	}
}

// tally adds what a worker has done to the totals of its slot, so that they go on
// where it ends, and gives up its seat.
func (a *app) tally(m *member) {
	if m.row == nil {
		return
	}
	done := m.live.Leave()
	for len(a.totals) <= m.slot {
		a.totals = append(a.totals, ipc.Stats{})
	}
	a.totals[m.slot].Add(done)
	a.totalChanged(m.slot)
	a.sockets.leave(m)
}
