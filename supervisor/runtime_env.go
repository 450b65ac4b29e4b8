package supervisor

import (
	"github.com/tinehq/tine/supervisor/host"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// memoryShare is the part of the container's memory limit that the workers' heaps
// may fill together before the garbage collector works harder: the rest is for
// stacks, mappings and the master.
const memoryShare = 0.9

// runtimeDefaults sets what each worker's Go runtime would otherwise take from the
// whole container, once for every worker: its CPUs and its memory. A value that
// env already has is the user's and stays.
func (c App) runtimeDefaults(env []string) []string {
	var out []string
	if !has(env, "GOMAXPROCS") {
		out = append(out, "GOMAXPROCS="+strconv.Itoa(c.gomaxprocs()))
	}
	container, _ := host.MemoryLimit()
	if limit := c.gomemlimit(container); limit > 0 && !has(env, "GOMEMLIMIT") {
		out = append(out, "GOMEMLIMIT="+strconv.FormatInt(limit, 10))
	}
	return out
}

// gomaxprocs is how many threads of one worker run Go code at once: its share of
// the CPUs. More than the share makes idle threads of one worker spin on the CPU
// that another one needs, which costs about a tenth of the throughput.
func (c App) gomaxprocs() int {
	if c.GOMAXPROCS > 0 {
		return c.GOMAXPROCS
	}
	return max(host.AutoWorkers()/c.workers(), 1)
}

// cpus is the CPU that the worker of a slot is bound to, or nil. Bound workers serve
// a fifth to a half more connections: a connection's work stays in one CPU's caches
// and no worker waits on another's CPU. It is done only where every CPU gets the
// same number of workers and all of each CPU is meant for them: a quota says that
// it is not, and then several containers would crowd on the first few CPUs.
func (c App) cpus(slot int, allowed []int, quota int) []int {
	if c.CPUAffinity == CPUAffinityOff || len(allowed) < 2 || quota < len(allowed) ||
		c.workers()%len(allowed) != 0 || slot >= c.workers() {
		return nil
	}
	return []int{allowed[slot%len(allowed)]}
}

// gomemlimit divides what the container has (0: no limit) by the most workers that
// there are at once, standbys among them.
func (c App) gomemlimit(container int64) int64 {
	if c.GOMEMLIMIT != 0 || container <= 0 {
		return max(c.GOMEMLIMIT, 0)
	}
	surge := c.MaxSurge
	if c.Rollout == RolloutStopFirst {
		surge = 0
	}
	return int64(float64(container) * memoryShare / float64(c.workers()+surge+c.Standby))
}

func has(env []string, key string) bool {
	return slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
