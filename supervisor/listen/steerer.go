package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tinehq/tine/ipc"
)

// A steerer makes the kernel pick among the sockets of one Set's groups. Set.mu is held in each call. Groups are numbered
// like the addresses; shared ones are never named.
type steerer interface {
	kind() Kind
	// join: the slot's socket listens. From here on it can be picked, but is not before a steer admits the slot. Slots
	// join in order. After a fall all slots of all groups join at once, and another kind's program is still attached.
	join(group, slot int, socket *os.File) error
	// leave: the socket, always of the last slot, is about to be closed. No steer admits the slot.
	leave(group, slot int)
	// renew: the slot, which had joined, has another socket, which listens, in place of one that does so no more. The
	// kernel's numbers have changed: see group.order. A steer follows.
	renew(group, slot int, socket *os.File) error
	// steer lets only the slots of open, ascending and at least one, get new connections, in all groups. weights go with
	// open, or are nil: all the same.
	steer(open []int, weights []uint8) error
	// close gives back what the steerer itself holds. Programs stay attached: the groups are about to be closed, or the
	// next kind has replaced them already, so that there is no moment without one.
	close()
}

// guard is implemented by steerers that must act before a new socket listens: keepOut is called before the socket of a slot
// beyond 0 does. A steerer without it keeps a program attached that never picks a socket that has not joined.
type guard interface {
	keepOut(group int) error
}

// tabled is a steerer that has to be adopted with a map for each group.
type tabled interface {
	tables() map[int]*os.File
}

// tables returns the maps of the steerer, which owns them.
func (s *Set) tables() map[int]*os.File {
	if t, ok := s.steerer.(tabled); ok {
		return t.tables()
	}
	return nil
}

// maker makes the steerer of a kind.
type maker struct {
	kind Kind
	make func(s *Set, slots int) (steerer, error)
}

// sharingMaker is the only one of a Set whose slots share all sockets.
var sharingMaker = maker{KindShared, func(*Set, int) (steerer, error) { return sharing{}, nil }}

// sharing is of a Set whose slots share all sockets: there is nothing to pick.
type sharing struct{}

func (sharing) kind() Kind                     { return KindShared }
func (sharing) join(int, int, *os.File) error  { return nil }
func (sharing) leave(int, int)                 {}
func (sharing) renew(int, int, *os.File) error { return nil }
func (sharing) steer([]int, []uint8) error     { return nil }
func (sharing) close()                         {}

// idleMaker is the only one of a Set without addresses. It holds nothing.
var idleMaker = maker{KindNone, func(*Set, int) (steerer, error) { return idle{}, nil }}

// idle is of a Set without addresses: no connection comes.
type idle struct{ sharing }

func (idle) kind() Kind { return KindNone }

// begin takes the best kind that can be made, and makes the board, which the kind may bring along. Sockets join later. A
// Set without addresses has no board yet: see [Set.NeedBoard].
func (s *Set) begin(kinds []maker, slots int) error {
	if best := slices.IndexFunc(kinds, func(m maker) bool { return m.kind == s.options.Best }); best > 0 {
		kinds = kinds[best:]
	}
	switch {
	case len(s.groups) == 0:
		kinds = []maker{idleMaker}
	case s.shared():
		kinds = []maker{sharingMaker}
	}
	for s.steerer == nil {
		made, err := kinds[0].make(s, slots)
		if err != nil {
			s.notes = append(s.notes, fmt.Sprintf("%s is not used: %v", kinds[0].kind, err))
		} else {
			s.steerer = made
		}
		kinds = kinds[1:]
	}
	s.kinds = kinds
	if s.board == nil && s.adopting != nil {
		s.board, s.adopting.spare = s.adopting.spare, nil
	}
	if s.board == nil && len(s.groups) > 0 {
		board, err := ipc.NewBoard()
		if err != nil {
			s.steerer.close()
			return err
		}
		s.board = board
	}
	return nil
}

// shared reports whether slots share all sockets.
func (s *Set) shared() bool {
	return !slices.ContainsFunc(s.groups, func(g *group) bool { return !g.shared })
}

// try gives the steerer an order. If it fails a worse kind takes over, with the sockets and the steering as they are in
// s: so those are to be changed first.
func (s *Set) try(order func(steerer) error) {
	err := order(s.steerer)
	for err != nil && len(s.kinds) > 0 {
		next := s.kinds[0]
		s.kinds = s.kinds[1:]
		made, failed := next.make(s, s.slots)
		if failed == nil {
			failed = s.takeOver(made)
		}
		if failed != nil {
			if made != nil {
				made.close()
			}
			err = errors.Join(err, failed)
			continue
		}
		why := fmt.Sprintf("%s has failed: %v", s.steerer.kind(), err)
		s.steerer.close()
		s.steerer, s.narrowed, s.weights = made, nil, nil
		s.changes++
		s.notes = append(s.notes, why)
		if s.observer != nil {
			s.observer.fell(Notice{What: Fell, Kind: next.kind, Why: why})
		}
		return
	}
}

// takeOver brings a new steerer to where s is. The old one's programs steer until they are replaced.
func (s *Set) takeOver(next steerer) error {
	for i, g := range s.groups {
		if g.shared {
			continue
		}
		for slot, f := range g.sockets {
			if !g.listens(slot) {
				continue // it joins when it is mended
			}
			if err := next.join(i, slot, f); err != nil {
				return err
			}
		}
	}
	if len(s.admitted) == 0 {
		return nil
	}
	return next.steer(s.admitted, nil)
}
