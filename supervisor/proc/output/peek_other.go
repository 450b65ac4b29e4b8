//go:build !linux

package output

import (
	"io"
	"syscall"
)

// peeker needs no state: what is read is taken out.
type peeker struct{}

// peek reads what there is; EAGAIN: nothing.
func (s *stream) peek(buf []byte, held int) (int, error) {
	for {
		n, err := syscall.Read(s.raw, buf[held:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// prepare has nothing to open.
func (s *stream) prepare() {}

// take is never asked for anything: nothing is ahead.
func (s *stream) take(int) {}
