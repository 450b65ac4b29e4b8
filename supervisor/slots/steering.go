package slots

import "slices"

// Steering is which slots of an app's sockets shall get new connections, and which do. Of two apps on the same sockets each has its
// own: the caller calls Apply for the app that serves, as the workers of the other one are still starting, and may have slots that the
// serving app lacks. The zero Steering has no order.
type Steering struct {
	ordered  []int
	admitted []int
	slots    int // were open when they were admitted
	due      bool
}

// Order has the slots get new connections from the next Apply on.
func (s *Steering) Order(slots []int) { s.ordered, s.due = slots, true }

// Reconsider has the next Apply look whether a slot that was ordered has been opened since.
func (s *Steering) Reconsider() { s.due = true }

// Enforce has the next Apply carry out the order whatever is admitted: another app on the same sockets may have ordered last.
func (s *Steering) Enforce() { s.admitted, s.due = nil, true }

// Due reports whether what is ordered and what is admitted may differ.
func (s *Steering) Due() bool { return s.due }

// Admitted are the slots of the last Apply that has changed something. They are not to be written to.
func (s *Steering) Admitted() []int { return s.admitted }

// Steered are sockets that can be steered: a [listen.Set].
type Steered interface {
	SteerTo(slots []int) error
	Slots() int
}

// Apply carries out the order. changed: it was not carried out before. The error is of SteerTo: the kernel goes on to spread
// connections over all slots, and no later Apply tries the same order again.
func (s *Steering) Apply(to Steered) (changed bool, err error) {
	s.due = false
	if slices.Equal(s.ordered, s.admitted) && to.Slots() == s.slots {
		return false, nil
	}
	s.admitted, s.slots = s.ordered, to.Slots()
	return true, to.SteerTo(s.admitted)
}
