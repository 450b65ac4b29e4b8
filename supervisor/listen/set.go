package listen

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
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

// OpenSlot opens the sockets of the next slot; for one that is open it does nothing. A slot beside others gets no new
// connection before a Steer admits it.
func (s *Set) OpenSlot(slot int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("cannot open slot %d: %w", slot, errClosed)
	case slot > s.slots && s.blocked != nil:
		return fmt.Errorf("cannot open slot %d: it waits for slot %d: %w", slot, s.slots, s.blocked)
	case slot < 0 || slot > s.slots:
		return fmt.Errorf("cannot open slot %d: the next is %d", slot, s.slots)
	case slot < s.slots:
		return nil
	case slot >= ipc.MaxSlots:
		return fmt.Errorf("cannot open slot %d: there can be %d", slot, ipc.MaxSlots)
	}
	s.hear()
	if s.blocked = s.open(); s.blocked != nil {
		return fmt.Errorf("cannot open slot %d: %w", slot, s.blocked)
	}
	return nil
}

// CloseSlot closes the sockets of the last slot, with every connection that waits in their queues unless a worker still
// holds a duplicate. Closing slot 0 gives up the addresses until OpenSlot takes them again.
func (s *Set) CloseSlot(slot int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("cannot close slot %d: %w", slot, errClosed)
	}
	if slot != s.slots-1 || slot < 0 {
		return fmt.Errorf("cannot close slot %d: the last of %d is to be closed first", slot, s.slots)
	}
	if s.slots > 1 && slices.Contains(s.admitted, slot) {
		// The kernel numbers the sockets of a group: a program must not name one that is not there.
		rest := slices.DeleteFunc(slices.Clone(s.admitted), func(n int) bool { return n == slot })
		if len(rest) == 0 {
			rest = first(slot)
		}
		s.admit(rest)
	}
	for i := range s.groups {
		s.closeSocket(i, slot)
	}
	if s.inner != nil {
		s.inner.closeInner(slot)
	}
	s.slots--
	s.changes++
	s.admitted = slices.DeleteFunc(s.admitted, func(n int) bool { return n >= s.slots })
	s.try(s.steer) // the number of slots counts in some programs
	s.tell()
	return nil
}

// files are the sockets of a slot, one for each address; none for a slot that is not open. They are not in the runtime's
// poller, so that connections do not wake this process.
func (s *Set) files(slot int) (ls []ipc.Listener, fs []*os.File) {
	if slot < 0 || slot >= s.slots {
		return nil, nil
	}
	for _, g := range s.groups {
		ls = append(ls, ipc.Listener{Network: g.address.Network, Address: g.address.Addr})
		fs = append(fs, g.socket(slot))
	}
	return ls, fs
}

// Share gives duplicates of the sockets of a slot, one for each address. They are the caller's, to give away with a frame
// that takes its files over, and are not in the runtime's poller, so that connections do not wake this process. What the
// worker before may have changed of them is as it was at first. A socket that listens no more is an error: see [Set.Mend].
func (s *Set) Share(slot int) ([]ipc.Listener, []*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ls, files := s.files(slot)
	if ls == nil && len(s.groups) > 0 {
		return nil, nil, fmt.Errorf("cannot share the sockets of slot %d: it is not open", slot)
	}
	var dups []*os.File
	for _, f := range files {
		d, err := shareOne(f)
		if err != nil {
			for _, d := range dups {
				d.Close()
			}
			return nil, nil, fmt.Errorf("cannot share the sockets of slot %d: %w", slot, err)
		}
		dups = append(dups, d)
	}
	return ls, dups, nil
}

// shareOne duplicates a socket for the next worker.
func shareOne(f *os.File) (*os.File, error) {
	d, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	if err := ipc.Control(d, freshen); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// SteerTo lets only the given slots get new connections. Connections that are queued stay where they are. A slot that is
// not open does not count; when none is left, all slots get connections: a worker may start in one of them and serve.
// Addresses with a shared socket are not affected. It fails only after Close.
func (s *Set) SteerTo(slots []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("cannot steer to slots %v: %w", slots, errClosed)
	}
	s.admit(slots)
	return nil
}

// SteerAgain has the kernel steer as this Set wants it, after another process may have had its say.
func (s *Set) SteerAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.board != nil {
		s.board.Stamp()
	}
	for i, g := range s.groups {
		if member := g.member(); member != nil && !g.shared {
			s.try(func(st steerer) error { return st.renew(i, slices.Min(g.order), member) })
		}
	}
	s.try(s.steer)
}

func (s *Set) admit(slots []int) {
	before := s.admitted
	s.admitted = nil
	for slot := range s.slots {
		if slices.Contains(slots, slot) {
			s.admitted = append(s.admitted, slot)
		}
	}
	if len(s.admitted) == 0 {
		s.admitted = first(s.slots)
	}
	if s.narrowed != nil {
		// Who the watcher keeps out stays out; it knows nothing yet of those that have come in.
		s.narrowed = slices.DeleteFunc(slices.Clone(s.admitted), func(n int) bool {
			return slices.Contains(before, n) && !slices.Contains(s.narrowed, n)
		})
		s.weights = nil
	}
	s.try(s.steer)
	s.tell()
}

// steer tells the steerer which slots get connections.
func (s *Set) steer(st steerer) error {
	switch {
	case len(s.admitted) == 0:
		return nil
	case len(s.narrowed) == 0:
		return st.steer(s.admitted, nil)
	}
	return st.steer(s.narrowed, s.weights)
}

// balance narrows the admitted slots to open, with weights: it is the watcher's. It holds until the next balance; nil
// ends it. Slots that are not admitted do not count, and if none is left all admitted get connections.
func (s *Set) balance(open []int, weights []uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.steerer.kind() != KindCBPF || s.options.Policy != Least {
		return
	}
	s.narrowed, s.weights = nil, nil
	for i, slot := range open {
		if !slices.Contains(s.admitted, slot) {
			continue
		}
		s.narrowed = append(s.narrowed, slot)
		if weights != nil {
			s.weights = append(s.weights, weights[i])
		}
	}
	s.try(s.steer)
}

// first are the slots 0..n-1.
func first(n int) []int {
	slots := make([]int, n)
	for i := range slots {
		slots[i] = i
	}
	return slots
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
