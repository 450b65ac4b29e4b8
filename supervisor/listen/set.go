package listen

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
)

// Set is the sockets of one app: for each address one a slot, or one that all slots share. Its methods may be called from
// several goroutines.
type Set struct {
	mu       sync.Mutex
	groups   []*group
	inner    *group        // the inner sockets: see SetInner; nil: there are none
	book     *tickets.Book // of the requests that come by them; nil: none could be made, or there are no inner sockets
	options  Options
	board    *ipc.Board // nil: none is needed yet
	slots    int        // slots 0..slots-1 are open
	admitted []int      // of these, those that may get new connections, ascending
	closed   bool
	seats    [ipc.MaxSlots][ipc.Seats]uint64 // the worker in each; 0: none

	steerer  steerer
	kinds    []maker  // worse than the steerer's
	notes    []string // why the steerer is of no better kind
	adopting *adoption
	narrowed []int    // of the admitted, those that the watcher lets get connections; nil: all
	weights  []uint8  // of the narrowed
	observer observer // the watcher; nil: none
	awaited  *Watch   // the watcher that begins with the board; nil: none
	blocked  error    // why the next slot could not be opened the last time; nil: it was not tried, or was opened
	changes  uint64   // of what Files gives
}

var errClosed = errors.New("the sockets are closed")

// Open takes all addresses, with sockets for slots 0..slots-1, or none of them. All these slots get connections at once:
// they wait in the queues until a worker accepts. An address that another process listens on is an [*InUseError]. Steering never
// makes it fail: a kind that cannot be had is told by [Set.Steering].
func Open(addrs []Address, slots int, o Options) (*Set, error) {
	return open(addrs, slots, o, !balances, makers())
}

// open can be told to share where it would not have to, so that the ways of macOS are tested on Linux, and what kinds
// there are.
func open(addrs []Address, slots int, o Options, share bool, kinds []maker) (*Set, error) {
	if slots < 1 || slots > ipc.MaxSlots {
		return nil, fmt.Errorf("cannot listen with %d slots: 1 to %d are possible", slots, ipc.MaxSlots)
	}
	o.Policy = cmp.Or(o.Policy, Least)
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Set{options: o}
	for _, a := range addrs {
		g := &group{address: a, shared: share || a.Network == "unix"}
		g.take(o.Given)
		s.groups = append(s.groups, g)
	}
	if err := s.begin(kinds, slots); err != nil {
		return nil, err
	}
	for range slots {
		if err := s.open(); err != nil {
			s.close()
			return nil, err
		}
	}
	s.admitted = first(s.slots)
	s.try(s.steer)
	return s, nil
}

// open adds a slot, which gets no connection as long as another is admitted.
func (s *Set) open() error {
	slot := s.slots
	for seat := range ipc.Seats {
		if s.board != nil {
			giveBack(s.board.Line(slot), seat)
		}
	}
	for i, g := range s.groups {
		err := g.open(slot, func() error {
			if guard, ok := s.steerer.(guard); ok {
				return guard.keepOut(i)
			}
			return nil
		})
		if err != nil {
			for j := range i {
				s.closeSocket(j, slot)
			}
			return fmt.Errorf("cannot listen on %s: %w", g.address, err)
		}
		if !g.shared {
			s.try(func(st steerer) error { return st.join(i, slot, g.socket(slot)) })
		}
	}
	if s.inner != nil {
		if err := s.inner.openInner(slot); err != nil {
			for j := range s.groups {
				s.closeSocket(j, slot)
			}
			return err
		}
	}
	s.slots++
	s.changes++
	if len(s.admitted) == 0 {
		s.admitted = first(1)
		s.try(s.steer)
	}
	s.tell()
	return nil
}

func (s *Set) closeSocket(group, slot int) {
	g := s.groups[group]
	if !g.shared {
		s.steerer.leave(group, slot)
	}
	g.closeSlot(slot)
}

// tell lets the watcher know that something about the slots has changed.
func (s *Set) tell() {
	if s.observer != nil {
		s.observer.changed()
	}
}

// Queue is the number of connections that wait for an accept in a slot. For a shared socket it counts what waits for
// all slots, and any number as 1, as it does for an inner one.
func (s *Set) Queue(slot int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot < 0 || slot >= s.slots {
		return 0, fmt.Errorf("cannot read the queue of slot %d: it is not open", slot)
	}
	sum := 0
	for _, g := range s.groups {
		n, err := g.queue(slot)
		if err != nil {
			return 0, fmt.Errorf("cannot read the queue of slot %d on %s: %w", slot, g.address, err)
		}
		sum += n
	}
	if g := s.inner; g != nil {
		_ = ipc.Control(g.sockets[slot], func(fd int) error {
			n, err := pollQueue(fd)
			sum += n
			return err
		})
	}
	return sum, nil
}

// Slots is the number of open slots.
func (s *Set) Slots() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots
}

// Addresses are the addresses as they were asked for, with the real port in place of 0.
func (s *Set) Addresses() []Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	var as []Address
	for _, g := range s.groups {
		as = append(as, g.address)
	}
	return as
}

// Close ends the watcher, closes all sockets and removes the files of Unix-domain ones that are still this Set's. Workers
// that hold duplicates go on accepting.
func (s *Set) Close() {
	s.endWatch()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}

func (s *Set) endWatch() {
	s.mu.Lock()
	watcher := s.observer
	s.observer, s.awaited = nil, nil
	s.mu.Unlock()
	if watcher != nil {
		watcher.end() // without the lock: it may be about to take it
	}
}

func (s *Set) close() {
	if s.closed {
		return
	}
	for ; s.slots > 0; s.slots-- {
		for i := range s.groups {
			s.closeSocket(i, s.slots-1)
		}
		if s.inner != nil {
			s.inner.closeInner(s.slots - 1)
		}
	}
	s.steerer.close()
	if s.board != nil {
		s.board.Close()
	}
	s.closeBook()
	s.admitted, s.narrowed, s.closed = nil, nil, true
}
