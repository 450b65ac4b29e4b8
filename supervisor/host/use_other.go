//go:build !linux

package host

import (
	"errors"
	"fmt"
)

// UseOf is an [errors.ErrUnsupported]: only Linux tells it without a privilege.
func UseOf(pid int) (Use, error) {
	return Use{}, fmt.Errorf("cannot read what process %d uses: only Linux tells it: %w", pid, errors.ErrUnsupported)
}
