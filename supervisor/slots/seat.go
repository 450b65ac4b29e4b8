package slots

import (
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// Seat is the row of the scoreboard that one worker writes: one of the two of its slot, as a slot has two workers while one takes over
// from the other.
type Seat struct {
	Slot   int
	Number int      // within the slot
	Row    *ipc.Row // only for the goroutine that owns the Sockets, and only until Vacate, Release or Leave
	reader *snapshot.Seat
}

// Reader is the row for readers in any goroutine, without an end; nil for nil.
func (s *Seat) Reader() *snapshot.Seat {
	if s == nil {
		return nil
	}
	return s.reader
}

// Sit gives a worker a free seat of its slot, whose row begins anew. It returns nil where there is none: a process that outlived
// SIGKILL holds a seat, and the numbers of two workers must not be mixed. There has to be a board: see [listen.Set.NeedBoard].
func (s *Sockets) Sit(slot int, worker uint64) *Seat {
	for number, taken := range s.seats[slot] {
		if taken == nil {
			s.Seat(slot, number, worker)
			return s.put(slot, number)
		}
	}
	return nil
}

// SitAgain gives an adopted worker the seat that it has. It returns nil where the row is another worker's, or there is no board.
func (s *Sockets) SitAgain(slot, number int, worker uint64) *Seat {
	if s.Board() == nil || !s.Keep(slot, number, worker) {
		return nil
	}
	return s.put(slot, number)
}

func (s *Sockets) put(slot, number int) *Seat {
	row := s.Board().Row(slot, number)
	seat := &Seat{Slot: slot, Number: number, Row: row, reader: snapshot.Take(row)}
	seats := s.seats[slot]
	seats[number] = seat
	s.seats[slot] = seats
	return seat
}

// Vacate takes a seat back from a worker that is gone, resets what the kernel still counts for connections that ended with the worker,
// and returns the worker's last counts. For a nil seat it returns zero counts.
func (s *Sockets) Vacate(seat *Seat) (done ipc.Stats) {
	if seat == nil {
		return done
	}
	done = seat.reader.Leave()
	if seats := s.seats[seat.Slot]; seats[seat.Number] == seat {
		seats[seat.Number] = nil
		s.seats[seat.Slot] = seats
		s.Set.Vacate(seat.Slot, seat.Number)
	}
	return done
}

// leaveSeats has readers use no row any more: the memory is about to be unmapped.
func (s *Sockets) leaveSeats() {
	for _, seats := range s.seats {
		for _, seat := range seats {
			if seat != nil {
				seat.reader.Leave()
			}
		}
	}
}
