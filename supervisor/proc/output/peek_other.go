//go:build !linux

package output

// peeker needs no state: what is read is taken out.
type peeker struct{}

// peek reads what there is; EAGAIN: nothing.
func (s *stream) peek(buf []byte, held int) (int, error) { return s.readAway(buf[held:]) }

// prepare has nothing to open.
func (s *stream) prepare() {}

// take is never asked for anything: nothing is ahead.
func (s *stream) take(int) {}
