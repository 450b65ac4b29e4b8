//go:build !linux

package supervisor

import (
	"errors"
	"fmt"
)

// usageOf is an [errors.ErrUnsupported]: only Linux tells it without a privilege.
func usageOf(pid int) (usage, error) {
	return usage{}, fmt.Errorf("cannot read what process %d uses: only Linux tells it: %w", pid, errors.ErrUnsupported)
}
