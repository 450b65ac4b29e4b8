package listen

import (
	"fmt"

	"github.com/tinehq/tine/ipc"
)

// Board is the scoreboard of the Set: the lines that the kernel reads where it can, and the rows of the workers. It is the
// Set's, and nil as long as a Set without addresses has needed none: see [Set.NeedBoard]. After Close nothing that it gave
// may be used any more.
func (s *Set) Board() *ipc.Board {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.board
}

// NeedBoard makes the board of a Set that has none, and begins the watching that [Set.Watch] was asked for. A program that
// neither listens nor knows of the board costs no descriptor for it: so it is made for the first worker that says that it is
// there. The error is that of the system, mostly that descriptors are short; the next call tries again.
func (s *Set) NeedBoard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("cannot make a board: %w", errClosed)
	case s.board != nil:
		return nil
	}
	board, err := ipc.NewBoard()
	if err != nil {
		return err
	}
	s.board = board
	s.changes++
	if w := s.awaited; w != nil {
		s.awaited = nil
		return s.watch(*w)
	}
	return nil
}

// Seat gives a seat of a slot to a worker, not 0, that is about to be assigned to it: the seat's row begins anew. What an earlier
// worker there held, and was not vacated, is given back. Take the row's Stats first if they are to be carried on.
func (s *Set) Seat(slot, seat int, worker uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.board == nil || !onBoard(slot, seat) {
		return
	}
	giveBack(s.board.Line(slot), seat)
	s.endTickets(slot, seat)
	s.board.Row(slot, seat).Reset(worker)
	s.seats[slot][seat] = worker
	s.tell()
}

// Keep gives a seat of an adopted Set to the worker that has it already: what its row says goes on. It answers false if the
// row is another's.
func (s *Set) Keep(slot, seat int, worker uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.board == nil || !onBoard(slot, seat) || worker == 0 || s.board.Row(slot, seat).Worker.Load() != worker {
		return false
	}
	s.seats[slot][seat] = worker
	s.tell()
	return true
}

// Vacate is called when the process of the seat's worker has gone: the connections that it held have ended with it, and
// weigh no more. Those that wait in the slot's queue stay counted: the next worker accepts them. The row keeps what the
// worker wrote, so that a reader can see why it died, but for the requests in flight.
func (s *Set) Vacate(slot, seat int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.board == nil || !onBoard(slot, seat) {
		return
	}
	giveBack(s.board.Line(slot), seat)
	row := s.board.Row(slot, seat)
	for i := range row.Cells {
		row.Cells[i].Store(0)
	}
	row.Closed.Store(row.Opened.Load())
	s.endTickets(slot, seat)
	s.seats[slot][seat] = 0
	s.tell()
}

func onBoard(slot, seat int) bool {
	return slot >= 0 && slot < ipc.MaxSlots && seat >= 0 && seat < ipc.Seats
}

// giveBack ends what a seat holds. Counters only grow, and are the workers' own, so that where a kind of steering does
// not count Assigned the rest is right all the same.
func giveBack(l *ipc.Line, seat int) {
	l.Released[seat].Add(uint64(l.Held(seat)))
}
