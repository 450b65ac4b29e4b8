//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"syscall"
)

// Adopt is for Linux only: elsewhere only the parent hears of an exit.
func Adopt(l Left, _ Options, _ func() (status syscall.WaitStatus, known bool)) (*Process, error) {
	l.Close()
	return nil, fmt.Errorf("cannot adopt process %d: %w", l.PID, errors.ErrUnsupported)
}
