package slots

// Witness is what notices that a worker stands still.
type Witness uint8

const (
	BySignal Witness = 1 << iota // the system has stopped the process
	ByBoard                      // the worker's queue or its heartbeat stands still
)

// Stall is which witnesses see a worker stand still. The zero Stall: none.
type Stall struct{ seen Witness }

// See notes that a witness sees the worker stand still. begun: no witness did before.
func (s *Stall) See(by Witness) (begun bool) {
	begun = s.seen == 0
	s.seen |= by
	return begun
}

// Clear notes that a witness sees the worker go on. ended: it has seen the worker stand still, and no other one does.
func (s *Stall) Clear(by Witness) (ended bool) {
	ended = s.seen == by
	s.seen &^= by
	return ended
}
