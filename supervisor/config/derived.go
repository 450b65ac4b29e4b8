package config

import (
	"time"

	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
)

// Slots returns the number of workers that c wants: Workers, or [host.AutoWorkers] if that is 0. Each such call reads files of
// control groups, which takes a part of a millisecond. That is fine where a config is applied, an order is placed or a generation
// is resolved; what runs for each event of a worker takes the number from the pool.
func (c App) Slots() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return host.AutoWorkers()
}

// Addresses returns the parsed addresses of Listen, in its order. The error is that of the first one that cannot be parsed; of a
// valid config there is none.
func (c App) Addresses() ([]listen.Address, error) {
	var all []listen.Address
	for _, text := range c.Listen {
		a, err := listen.Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// SteeringOptions returns how c wants connections to be steered, for package listen. The number of workers and the CPUs are
// looked up in this call; the CPU of a slot is computed from them later, without a look.
func (c App) SteeringOptions() listen.Options {
	o := listen.Options{
		Policy: listen.Policy(c.Policy),
		Full:   c.OverloadAt,
		Refuse: c.OnOverload == OverloadRefuse,
	}
	if c.Steering != SteeringAuto {
		o.Best = listen.Kind(c.Steering)
	}
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	c.Workers = c.Slots()
	o.CPU = func(slot int) int {
		if cpus := c.CPUs(slot, allowed, quota); len(cpus) == 1 {
			return cpus[0]
		}
		return -1
	}
	return o
}

// OneShotTime is the time that a one-shot app has instead of a ready timeout: there must be one, and it must never matter.
const OneShotTime = 365 * 24 * time.Hour

// StartTimeout returns how long a worker may take to become ready, with the time of the hook before_start, which runs before
// the worker is started.
func (c App) StartTimeout() time.Duration {
	if c.OneShot {
		return OneShotTime
	}
	if len(c.Hooks.BeforeStart.Command) > 0 {
		return c.ReadyTimeout + c.Hooks.BeforeStart.Timeout
	}
	return c.ReadyTimeout
}

// Patience returns what one change of the app may take at most: a start of each worker, one after the other, with the end of the
// one before it, twice, as a rollout may wait for another.
func (c App) Patience() time.Duration {
	one := c.ReadyTimeout + c.DrainDelay + c.DrainTimeout + 2*c.KillAfter
	attempts := max(c.StartLimit, 1)
	return 2*one*time.Duration(max(c.Slots(), 1)) + (c.ReadyTimeout+c.Backoff.Max)*time.Duration(attempts)
}

// The kinds of hooks. A hook runs beside the loop, which never waits for it: its end comes back as a message. At most one hook
// of each kind runs at a time for an app. What happens to a further one meanwhile:
//
//	before_start  the workers of a generation wait for the one run; after a failure the next attempt of a slot runs it again
//	after_ready   at most one more follows, for the newest generation
//	before_drain  all workers that are to drain meanwhile wait, and share the next run
//	on_crash      up to 16 wait; further ones are dropped, and the log says so
//
// A worker whose drain waits for a hook gets no new connections, and waits for half of its drain_timeout at most, which is
// part of its time to drain. No kill waits for a hook.
//
// A hook finds TINE_APP and TINE_GENERATION in its environment. before_drain also has TINE_SLOT, TINE_WORKER and TINE_PID,
// which are lists with commas when the run is for several workers. on_crash has these with TINE_EXIT_CODE (-1 if a signal
// ended the worker) and TINE_SIGNAL (such as SIGSEGV, else empty).
const (
	HookBeforeStart = "before_start"
	HookAfterReady  = "after_ready"
	HookBeforeDrain = "before_drain"
	HookOnCrash     = "on_crash"
)

// Of returns the hook of a kind, one of the constants above.
func (h Hooks) Of(kind string) Hook {
	switch kind {
	case HookBeforeStart:
		return h.BeforeStart
	case HookAfterReady:
		return h.AfterReady
	case HookBeforeDrain:
		return h.BeforeDrain
	}
	return h.OnCrash
}
