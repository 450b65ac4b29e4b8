// Package host tells what this machine gives to a master and its workers: the CPUs that may be used, the limits of the
// control groups, and what one process uses.
//
// Each function asks the kernel anew, as a quota or an affinity may change while a master runs. Each reads a few small
// files of /proc and /sys, which do not wait for a disk; they are still too slow for a place that runs once for each
// event, so a caller keeps the answer as long as it may.
//
//	AutoWorkers   how many workers an app has unless its config says so
//	CPUQuota      how many CPUs' worth of time the control groups allow
//	AllowedCPUs   which CPUs this process may run on
//	MemoryLimit   how many bytes the control groups allow
//	UseOf         resident memory and CPU time of a process
//
// ShareDescriptors divides the file descriptors that this process may have among what a master needs them for.
//
// Only Linux tells all of it. Elsewhere there are no limits, and UseOf returns [errors.ErrUnsupported].
package host
