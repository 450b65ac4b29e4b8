//go:build !linux

package tunnel

import (
	"errors"
	"net"
)

// door is where tunnels of other workers come in: nowhere, on this system.
type door struct{}

// Listen lets no tunnel in: they move on Linux alone.
func (s *Set) Listen(net.Listener) error { return errors.ErrUnsupported }

// Close lets no tunnel in any more.
func (s *Set) Close() {}

type road struct{}

func (*road) close()             {}
func (*road) move(*tunnel) error { return errStays }

func (s *Set) toSuccessor() (*road, error) { return nil, errors.ErrUnsupported }
