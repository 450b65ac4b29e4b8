package host

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// AutoWorkers returns how many workers an app has unless its config says so: one for each CPU that this process may run
// on, as its affinity and the quotas of its control groups allow; at least 1.
func AutoWorkers() int {
	cpus := runtime.NumCPU()
	var set unix.CPUSet
	// runtime.NumCPU is as of the start of this process; the affinity may have changed since.
	if err := unix.SchedGetaffinity(0, &set); err == nil && set.Count() > 0 {
		cpus = set.Count()
	}
	quota, limited := cgroupCPUs(os.DirFS("/"))
	return workersFor(cpus, quota, limited)
}

// CPUQuota returns how many CPUs' worth of time the control groups that this process is in may use, such as 1.5; false:
// there is no quota.
func CPUQuota() (float64, bool) {
	quota, limited := cgroupCPUs(os.DirFS("/"))
	if !limited {
		return 0, false
	}
	return quota, true
}

// AllowedCPUs returns the numbers of the CPUs that this process may run on, in ascending order; nil if the kernel does not tell.
func AllowedCPUs() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// MemoryLimit returns the memory limit, in bytes, of the control groups that this process is in; false: there is none below
// the memory of the machine.
func MemoryLimit() (int64, bool) {
	limit, limited := cgroupMemory(os.DirFS("/"))
	if !limited {
		return 0, false
	}
	// A limit above what the machine has is none.
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil && uint64(limit) >= uint64(info.Totalram)*uint64(info.Unit) {
		return 0, false
	}
	return limit, true
}
