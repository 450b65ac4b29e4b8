package listen

import (
	"os"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
)

// openBook is the book of a Set as a worker has it.
func openBook(t *testing.T, s *Set) *tickets.Book {
	t.Helper()
	f, err := s.ShareBook()
	if err != nil || f == nil {
		t.Fatalf("there is no book: %v", err)
	}
	b, err := tickets.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// The book of tickets comes and goes with the inner sockets, and is the next master's.
func TestTicketsAreKept(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	if f, err := s.ShareBook(); f != nil || err != nil || s.Book() != 0 {
		t.Errorf("without inner sockets: %v, %v, %d", f, err, s.Book())
	}
	mustSetInner(t, s, innerPrefix(t))
	b, id := openBook(t, s), s.Book()
	k, ok := b.Slot(1).Reserve(tickets.OwnerOf(7), 1)
	if !ok {
		t.Fatal("no row is free")
	}
	files := map[string]*os.File{}
	for name, f := range s.Files() {
		var err error
		if files[name], err = ipc.Duplicate(f); err != nil {
			t.Fatal(err)
		}
		defer files[name].Close()
	}
	next, err := adopt(s.Save(), files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	s.Leave()
	if next.Book() != id || openBook(t, next).Slot(1).State(k) != tickets.Sent {
		t.Error("the next master has another book")
	}
	saved := next.Save()
	saved.Inner.Book++ // a version that is not known
	last, err := adopt(saved, files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if last.Book() == 0 || last.Book() == id {
		t.Errorf("of a book of another version: %d, it was %d", last.Book(), id)
	}
	last.Leave()
	mustSetInner(t, next, "")
	if next.Book() != 0 {
		t.Error("the book is still there")
	}
}

// What a worker held ends with its seat, what a gateway's worker held with the sweep, and what waits for the slot's next worker stays.
func TestTicketsEndWithWhatHeldThem(t *testing.T) {
	s := mustOpen(t, 2)
	mustSetInner(t, s, innerPrefix(t))
	if err := s.NeedBoard(); err != nil {
		t.Fatal(err)
	}
	b := openBook(t, s)
	slot, own, other := b.Slot(1), tickets.OwnerOf(7), tickets.OwnerOf(8)
	reserve := func(o tickets.Owner) tickets.Ticket {
		t.Helper()
		k, ok := slot.Reserve(o, 4)
		if !ok {
			t.Fatal("no row is free")
		}
		return k
	}
	runs, waits, lost := reserve(own), reserve(own), reserve(other)
	s.Seat(1, 0, 17)
	if !slot.Begin(runs, 0) {
		t.Fatal("the ticket does not begin")
	}
	slot.Release(runs) // its gateway waits no more, and the handler runs on
	if slot.Taken(4) != 3 {
		t.Fatalf("%d rows are taken", slot.Taken(4))
	}
	s.SweepTickets(func(o tickets.Owner) bool { return o == own })
	if slot.Taken(4) != 2 || slot.State(lost) != tickets.Unknown {
		t.Errorf("after the sweep %d rows are taken", slot.Taken(4))
	}
	s.Vacate(1, 0)
	if slot.Taken(4) != 1 || slot.State(waits) != tickets.Sent {
		t.Errorf("after the worker's end %d rows are taken", slot.Taken(4))
	}
	s.Seat(1, 0, 18)
	if !slot.Begin(waits, 1) {
		t.Fatal("the ticket does not begin")
	}
	slot.Release(waits)
	s.EndTickets() // in seat 1 is nobody
	if slot.Taken(4) != 0 {
		t.Errorf("at the end %d rows are taken", slot.Taken(4))
	}
}
