//go:build !linux

package host

import (
	"errors"
	"fmt"
)

// UseOf returns an error that wraps [errors.ErrUnsupported]: only Linux tells it without a privilege.
func UseOf(pid int) (Use, error) {
	return Use{}, fmt.Errorf("cannot read what process %d uses: only Linux tells it: %w", pid, errors.ErrUnsupported)
}
