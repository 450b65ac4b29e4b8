package listen

import (
	"fmt"
	"slices"
)

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
