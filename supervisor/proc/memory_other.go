//go:build !linux

package proc

import (
	"errors"
	"fmt"
)

// RSS is an [errors.ErrUnsupported]: only on Linux it is known without a privilege.
func (p *Process) RSS() (bytes int64, err error) {
	return 0, fmt.Errorf("cannot read the resident memory of process %d: only Linux tells it: %w", p.pid, errors.ErrUnsupported)
}
