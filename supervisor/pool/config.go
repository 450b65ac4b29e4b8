package pool

import "time"

// MaxSlots bounds every scale: more is taken as this many.
const MaxSlots = 1024

// Restart says what becomes of a slot whose worker went without being asked.
type Restart uint8

const (
	RestartOnFailure Restart = iota // exit code 0 finishes the slot; anything else is restarted
	RestartAlways                   // exit code 0 counts as a failure too
	RestartNever                    // any exit finishes the slot
)

func (r Restart) String() string {
	switch r {
	case RestartOnFailure:
		return "on-failure"
	case RestartAlways:
		return "always"
	case RestartNever:
		return "never"
	}
	return "unknown"
}

// Backoff is how long a slot waits before it tries again: not at all after the first failure in a row, Base after the
// second, then twice as long each time up to Max.
type Backoff struct {
	Base, Max time.Duration
	Jitter    float64       // each wait is longer or shorter by up to this fraction of itself
	Reset     time.Duration // failures are forgotten after being ready for so long without another
}

// Config is everything that a pool can be told about its app. Begin with Default and change what differs.
type Config struct {
	Workers        int // slots wanted, 0..MaxSlots
	Restart        Restart
	Backoff        Backoff
	StartLimit     int           // failures before any worker was ever ready that end the app; 0: never
	ReadyTimeout   time.Duration // from the order to spawn until the worker says ready
	DrainDelay     time.Duration // how long a worker without a successor goes on accepting
	DrainTimeout   time.Duration // after that, how long it may take to finish
	KillAfter      time.Duration // from SIGTERM to SIGKILL, and from SIGKILL to giving the process up for lost
	StopFirst      bool          // replace by stopping the old worker first: no surge
	MaxSurge       int           // slots that may have two workers at once for a replacement
	MaxUnavailable int           // with StopFirst: slots that may be without a worker at once; at least 1 is used
	StallTimeout   time.Duration // how long a ready worker may be stalled before it is dumped and replaced; 0: for ever
	MaxAge         time.Duration // since it became ready, after which a worker is replaced; 0: never
	AgeJitter      float64       // each worker's MaxAge is longer or shorter by up to this fraction of itself, 0..0.9
	Standby        int           // workers that are initialised and wait for a slot, 0..MaxSlots
	FirstID        WorkerID      // number of the first worker; 0 is taken as 1. For Restore, the least of the next one
	// FirstGeneration is that of the first workers; 0 is taken as 1.
	FirstGeneration int
	Seed            uint64 // of the jitter: the same seed and events give the same effects
	Strict          bool   // panic at events that cannot happen, instead of recording them: for tests
}

// Default returns the configuration that Tine uses where the user says nothing, with one worker.
func Default() Config {
	return Config{
		Workers:      1,
		Backoff:      Backoff{Base: 100 * time.Millisecond, Max: 15 * time.Second, Jitter: 0.2, Reset: 10 * time.Second},
		StartLimit:   5,
		ReadyTimeout: 30 * time.Second,
		DrainDelay:   time.Second,
		DrainTimeout: 30 * time.Second,
		KillAfter:    5 * time.Second,
		MaxSurge:     1,
		StallTimeout: 30 * time.Second,
		AgeJitter:    0.1,
	}
}

// normal makes a configuration safe to run with. A wait that would be none or endless gets its default, because
// bounded shutdown rests on them: a KillAfter of zero would give up on every process in the instant of its SIGTERM.
func (c Config) normal() Config {
	d := Default()
	c.Workers = clamp(c.Workers, 0, MaxSlots)
	c.StartLimit = max(c.StartLimit, 0)
	c.DrainDelay = max(c.DrainDelay, 0)
	c.DrainTimeout = max(c.DrainTimeout, 0)
	c.ReadyTimeout = positive(c.ReadyTimeout, d.ReadyTimeout)
	c.KillAfter = positive(c.KillAfter, d.KillAfter)
	c.Backoff.Base = positive(c.Backoff.Base, d.Backoff.Base)
	c.Backoff.Max = max(positive(c.Backoff.Max, d.Backoff.Max), c.Backoff.Base)
	c.Backoff.Reset = positive(c.Backoff.Reset, d.Backoff.Reset)
	c.Backoff.Jitter = min(max(c.Backoff.Jitter, 0), 0.9)
	c.MaxSurge = max(c.MaxSurge, 1)
	c.MaxUnavailable = max(c.MaxUnavailable, 0)
	c.StallTimeout = max(c.StallTimeout, 0)
	c.MaxAge = max(c.MaxAge, 0)
	c.AgeJitter = min(max(c.AgeJitter, 0), 0.9)
	c.Standby = clamp(c.Standby, 0, MaxSlots)
	c.FirstID = max(c.FirstID, 1)
	c.FirstGeneration = max(c.FirstGeneration, 1)
	return c
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func clamp(n, low, high int) int { return min(max(n, low), high) }
