package listen

import (
	"testing"

	"github.com/tinehq/tine/ipc"
)

func TestSeats(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	line, row := s.Board().Line(1), s.Board().Row(1, 0)
	s.Seat(1, 0, 7)
	if got := row.Worker.Load(); got != 7 || s.seats[1][0] != 7 {
		t.Errorf("the row is worker %d's, the seat %d's; want 7", got, s.seats[1][0])
	}

	// Its worker accepts 5, closes 2 and has 1 of the others idle; the other seat's holds 1.
	line.Accepted[0].Add(5)
	line.Released[0].Add(2*ipc.Weight + ipc.Busy)
	line.Accepted[1].Add(1)
	row.Opened.Store(5)
	row.Closed.Store(2)
	cell := row.Begin(ipc.Monotonic())
	if held := line.Held(0); held != 2*ipc.Busy+3 {
		t.Fatalf("it holds %d", held)
	}
	s.Vacate(1, 0)
	if line.Held(0) != 0 || line.Held(1) != ipc.Weight {
		t.Errorf("the seats hold %d and %d, want 0 and what the other's worker has", line.Held(0), line.Held(1))
	}
	if n := row.InFlight(); n != 0 || cell < 0 || row.Opened.Load() != row.Closed.Load() || row.Worker.Load() != 7 || s.seats[1][0] != 0 {
		t.Errorf("the row has %d requests in flight, %d connections opened, %d closed", n, row.Opened.Load(), row.Closed.Load())
	}

	// The next worker begins with nothing, also if the seat was not vacated.
	line.Accepted[0].Add(3)
	s.Seat(1, 0, 8)
	if line.Held(0) != 0 || row.Opened.Load() != 0 || row.Worker.Load() != 8 {
		t.Errorf("worker 8 begins with %d held, %d opened", line.Held(0), row.Opened.Load())
	}
	// One that gives back more than it had is put right as well.
	line.Released[0].Add(9 * ipc.Weight)
	s.Vacate(1, 0)
	if line.Held(0) != 0 {
		t.Errorf("it holds %d", line.Held(0))
	}
	// Counters of a slot carry on when it comes again, without weight.
	line.Accepted[1].Add(4)
	if err := s.CloseSlot(1); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenSlot(1); err != nil {
		t.Fatal(err)
	}
	if line.Held(0) != 0 || line.Held(1) != 0 {
		t.Errorf("the seats hold %d and %d, want nothing", line.Held(0), line.Held(1))
	}

	for _, bad := range [][2]int{{-1, 0}, {ipc.MaxSlots, 0}, {0, -1}, {0, ipc.Seats}} {
		s.Seat(bad[0], bad[1], 9)
		s.Vacate(bad[0], bad[1])
	}
	s.Close()
	s.Seat(0, 0, 1)
	s.Vacate(0, 0)
	_ = s.Steering()
}
