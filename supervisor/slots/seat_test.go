package slots

import "testing"

// TestSeats: a slot has two; a third worker gets none until one of them is gone, and the row then begins anew.
func TestSeats(t *testing.T) {
	s := open(t, loopback)
	if s.SitAgain(0, 0, 1) != nil {
		t.Fatal("a seat without a board")
	}
	if err := s.NeedBoard(); err != nil {
		t.Fatal(err)
	}
	first, second := s.Sit(0, 1), s.Sit(0, 2)
	if first == nil || second == nil || first.Number == second.Number {
		t.Fatalf("seats %+v and %+v, want two", first, second)
	}
	if third := s.Sit(0, 3); third != nil {
		t.Fatalf("a third worker has %+v", third)
	}
	first.Row.Opened.Add(5)
	first.Row.Closed.Add(2)
	if done := s.Vacate(first); done.Opened != 5 || done.Closed != 5 {
		t.Errorf("%d connections opened and %d closed by a worker that is gone, want 5 and 5", done.Opened, done.Closed)
	}
	third := s.Sit(0, 3)
	if third == nil || third.Number != first.Number || third.Row.Opened.Load() != 0 {
		t.Fatalf("the third worker has %+v, want the first one's seat, and nothing counted", third)
	}
	third.Row.Opened.Add(1)
	if done := s.Vacate(first); done.Opened != 5 || s.Sit(0, 4) != nil {
		t.Errorf("a second Vacate returns %d connections, or has taken the seat from the next worker", done.Opened)
	}
	if s.SitAgain(0, third.Number, 9) != nil {
		t.Error("a worker has the row of another one")
	}
}

// TestReadersOutliveTheSockets: the last release unmaps the scoreboard, and a reader has the last counts.
func TestReadersOutliveTheSockets(t *testing.T) {
	s := open(t, loopback)
	if err := s.NeedBoard(); err != nil {
		t.Fatal(err)
	}
	s.Use()
	reader := s.Sit(0, 1).Reader()
	row := s.seats[0][0].Row
	row.Opened.Add(7)
	s.Release()
	row.Opened.Add(1) // the other user goes on
	if !s.Used() || reader.Load().Open != 8 {
		t.Fatalf("%d connections open after the first of two has released, want 8", reader.Load().Open)
	}
	s.Release()
	if load := reader.Load(); s.Used() || load.Stats.Opened != 8 || load.Open != 0 {
		t.Errorf("a reader of closed sockets sees %+v, want the last counts, and nothing open", load)
	}
	var none *Seat
	if none.Reader() != nil || s.Vacate(none).Opened != 0 {
		t.Error("no seat has counts")
	}
}
