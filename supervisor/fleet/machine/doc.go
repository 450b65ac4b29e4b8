// Package machine measures the load of this host, for what a Tine says of itself (GET /v1/load).
//
// It has the whole machine as the kernel sees it, also in a container with a share of it: cpu_idle is the share of all CPUs that was idle since
// the measurement before, and memory_free is what programs can still have without swapping (MemAvailable). Only Linux tells them.
package machine
