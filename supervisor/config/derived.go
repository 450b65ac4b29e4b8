package config

import (
	"time"

	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
) // workers is the number of slots that the config asks for.
func (c App) Slots() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return host.AutoWorkers()
}

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

// SteeringOptions is how the config wants an app's connections to be steered.
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
	o.CPU = func(slot int) int {
		if cpus := c.CPUs(slot, allowed, quota); len(cpus) == 1 {
			return cpus[0]
		}
		return -1
	}
	return o
}

// OneShotTime bounds how long a one-shot app may run. It only must be there.
const OneShotTime = 365 * 24 * time.Hour

// StartTimeout is how long the core waits for a worker to be ready: the start hook
// runs in that time.
func (c App) StartTimeout() time.Duration {
	if c.OneShot {
		return OneShotTime
	}
	if len(c.Hooks.BeforeStart.Command) > 0 {
		return c.ReadyTimeout + c.Hooks.BeforeStart.Timeout
	}
	return c.ReadyTimeout
}

// Hooks run beside the loop, which never waits for one: how it ended comes back as a
// message. Of an app at most one of each kind runs at a time. What comes meanwhile:
//
//	before_start  the workers of a generation wait for the one run; after a failure the next attempt of a slot runs it again
//	after_ready   at most one more follows, for the newest generation
//	before_drain  all workers that are to drain meanwhile wait, and share the next run
//	on_crash      up to 16 wait; what comes while so many do is dropped, and said
//
// A worker whose drain waits for a hook gets no new connections any more, and waits for
// half of its drain_timeout at most: the time that it has in all is not changed. No
// kill waits for a hook.
//
// A hook finds TINE_APP and TINE_GENERATION in its environment. before_drain has
// TINE_SLOT, TINE_WORKER and TINE_PID too, lists with commas when it is for several workers, and
// on_crash has them with TINE_EXIT_CODE (-1 where a signal ended the worker) and TINE_SIGNAL
// (such as SIGSEGV, else empty).
const (
	HookBeforeStart = "before_start"
	HookAfterReady  = "after_ready"
	HookBeforeDrain = "before_drain"
	HookOnCrash     = "on_crash"
)

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
