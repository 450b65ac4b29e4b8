package listen

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
)

// A Set with inner sockets has a book of tickets: memory in which gateways and the workers agree on which requests have begun. It is kept
// for the next master as the board is. What a worker held of it is given back with its seat.

// openBook makes the book. Where there are no descriptors or memory for it, requests have no tickets. It is called with mu held, as the next
// two are.
func (s *Set) openBook() { s.book, _ = tickets.Create() }

func (s *Set) closeBook() {
	if s.book != nil {
		s.book.Close()
		s.book = nil
	}
}

// endTickets frees what the worker in a seat held, which has gone.
func (s *Set) endTickets(slot, seat int) {
	if s.book != nil {
		s.book.Ended(slot, seat)
	}
}

// Book is a number that tells the book of tickets from any other; 0: there is none.
func (s *Set) Book() (id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book == nil {
		return 0
	}
	_ = ipc.Control(s.book.File(), func(fd int) error {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		id = st.Ino
		return err
	})
	return id
}

// ShareBook gives a duplicate of the file of the book, for a worker to open. It is the caller's; nil, without an error: there is no book.
func (s *Set) ShareBook() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book == nil {
		return nil, nil
	}
	return s.book.Share()
}

// SweepTickets frees the rows of gateways' workers that are gone. alive says of an owner whether it may still run.
func (s *Set) SweepTickets(alive func(tickets.Owner) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book != nil {
		s.book.Sweep(alive)
	}
}

// EndTickets frees what is held in all seats that no worker has. It is for an adopted Set, when its workers have their seats again.
func (s *Set) EndTickets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.slots {
		for seat, worker := range s.seats[slot] {
			if worker == 0 {
				s.endTickets(slot, seat)
			}
		}
	}
}
