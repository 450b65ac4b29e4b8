package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/host"
)

// Environment returns the environment, as KEY=VALUE, of all processes that are run for c, weakest first: the master's own (less
// what is meant for the master alone), Tine's defaults for the Go runtime, the env files, Env. Of a variable that comes more
// than once, proc.Resolve takes the last. It reads the env files; the error is that of [ReadEnvFile].
func (c App) Environment(master []string) ([]string, error) {
	env := ipc.ScrubEnv(master)
	env = append(env, c.runtimeDefaults(env)...)
	for _, path := range c.EnvFiles {
		vars, err := ReadEnvFile(path)
		if err != nil {
			return nil, err
		}
		env = append(env, vars...)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, key+"="+c.Env[key])
	}
	return withoutOwn(env), nil
}

// Variables by which a worker knows itself. They are for programs that read no channel: package worker takes these facts from
// the channel. A standby has no slot yet, and so neither EnvSlot nor EnvInstance.
const (
	EnvApp        = "TINE_APP"          // name of the app
	EnvGeneration = "TINE_GENERATION"   // number of the rollout, from 1
	EnvSlot       = "TINE_SLOT"         // from 0
	EnvInstance   = "NODE_APP_INSTANCE" // the slot, by PM2's name
)

// withoutOwn removes the variables that only Tine may set: of a variable that comes twice a program may take either.
func withoutOwn(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		switch key {
		case EnvApp, EnvGeneration, EnvSlot, EnvInstance:
			return true
		}
		return false
	})
}

// memoryShare is the share of the container's memory limit that the heaps of all workers may fill before the garbage collector
// works harder. The rest is for stacks, mappings and the master.
const memoryShare = 0.9

// runtimeDefaults returns GOMAXPROCS and GOMEMLIMIT for one worker: without them the Go runtime of each worker would take the
// CPUs and the memory of the whole container. A variable that env has already is left to the user.
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

// gomaxprocs is one worker's share of the CPUs. With more, idle threads of one worker spin on a CPU that another worker needs,
// which costs about a tenth of the throughput.
func (c App) gomaxprocs() int {
	if c.GOMAXPROCS > 0 {
		return c.GOMAXPROCS
	}
	return max(host.AutoWorkers()/c.Slots(), 1)
}

// CPUs returns the one CPU that the worker of a slot, from 0, is bound to, or nil if it is not bound. allowed are the CPUs that
// this process may run on, quota is how many of them it may use ([host.AutoWorkers]). Bound workers serve a fifth to a half
// more connections, as the work of a connection stays in the caches of one CPU. Workers are bound only where each CPU gets the
// same number of them and no quota says that the CPUs are shared: with a quota, several containers would crowd on the first
// few CPUs.
func (c App) CPUs(slot int, allowed []int, quota int) []int {
	if c.CPUAffinity == CPUAffinityOff || len(allowed) < 2 || quota < len(allowed) ||
		c.Slots()%len(allowed) != 0 || slot >= c.Slots() {
		return nil
	}
	return []int{allowed[slot%len(allowed)]}
}

// gomemlimit divides the memory of the container, in bytes (0: no limit), by the largest number of workers that run at once,
// standbys among them. 0: no limit is set.
func (c App) gomemlimit(container int64) int64 {
	if c.GOMEMLIMIT != 0 || container <= 0 {
		return max(c.GOMEMLIMIT, 0)
	}
	surge := c.MaxSurge
	if c.Rollout == RolloutStopFirst {
		surge = 0
	}
	return int64(float64(container) * memoryShare / float64(c.Slots()+surge+c.Standby))
}

func has(env []string, key string) bool {
	return slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}
