package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/host"
)

// Environment is what all that is run for c finds, weakest first: the master's own
// less what is meant for the master alone, Tine's defaults, the env files, env. Where a
// variable comes more than once, proc.Resolve takes the last.
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
	for _, key := range sortedKeys(c.Env) {
		env = append(env, key+"="+c.Env[key])
	}
	return withoutOwn(env), nil
}

// What a worker finds in its environment of itself. It is a convenience for programs
// that read no channel: a worker that uses package worker asks that. A standby finds no
// slot there, for it has none yet.
const (
	EnvApp        = "TINE_APP"
	EnvGeneration = "TINE_GENERATION"
	EnvSlot       = "TINE_SLOT"
	// EnvInstance is what PM2 calls the slot.
	EnvInstance = "NODE_APP_INSTANCE"
)

// withoutOwn removes what only Tine may set: a program that finds a variable twice may
// take either.
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
	return max(host.AutoWorkers()/c.Slots(), 1)
}

// CPUs is the CPU that the worker of a slot is bound to, or nil. Bound workers serve
// a fifth to a half more connections: a connection's work stays in one CPU's caches
// and no worker waits on another's CPU. It is done only where every CPU gets the
// same number of workers and all of each CPU is meant for them: a quota says that
// it is not, and then several containers would crowd on the first few CPUs.
func (c App) CPUs(slot int, allowed []int, quota int) []int {
	if c.CPUAffinity == CPUAffinityOff || len(allowed) < 2 || quota < len(allowed) ||
		c.Slots()%len(allowed) != 0 || slot >= c.Slots() {
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
	return int64(float64(container) * memoryShare / float64(c.Slots()+surge+c.Standby))
}

func has(env []string, key string) bool {
	return slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
