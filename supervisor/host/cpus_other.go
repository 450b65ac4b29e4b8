//go:build !linux

package host

import "runtime"

// AutoWorkers returns how many workers an app has unless its config says so: one for each CPU.
func AutoWorkers() int { return workersFor(runtime.NumCPU(), 0, false) }

// CPUQuota returns how many CPUs' worth of time this process may use; false: there is no quota.
func CPUQuota() (float64, bool) { return 0, false }

// MemoryLimit returns false: there are no control groups.
func MemoryLimit() (int64, bool) { return 0, false }

// AllowedCPUs returns nil: this system does not bind processes to CPUs.
func AllowedCPUs() []int { return nil }
