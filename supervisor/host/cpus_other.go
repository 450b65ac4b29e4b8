//go:build !linux

package host

import "runtime"

// AutoWorkers returns how many workers an app has unless its config says so: one for each CPU.
func AutoWorkers() int { return workersFor(runtime.NumCPU(), 0, false) }

// CPUQuota returns how many CPUs' worth of time this process may use; false: there is no quota.
func CPUQuota() (float64, bool) { return 0, false }

// MemoryLimit returns the memory limit of the control groups that this process is in; false: there is none.
func MemoryLimit() (int64, bool) { return 0, false }

// AllowedCPUs lists the CPUs that workers can be bound to: none where the system does not let one choose.
func AllowedCPUs() []int { return nil }
