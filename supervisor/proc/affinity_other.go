//go:build !linux

package proc

import (
	"errors"
	"fmt"
)

// bound runs fork: only Linux lets a process choose its CPU.
func bound(_ []int, fork func()) { fork() }

// Bind does nothing without cpus; with some it is an [errors.ErrUnsupported]: only Linux lets a process choose its CPU.
func (p *Process) Bind(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	return fmt.Errorf("cannot bind process %d to CPUs %v: only Linux can: %w", p.pid, cpus, errors.ErrUnsupported)
}
