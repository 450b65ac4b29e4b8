package queue

import (
	"fmt"
	"time"
)

// Options bound a queue. The zero value of each field is its default.
type Options struct {
	Max      int           // requests that wait; 0: 1,000
	MaxBytes int64         // of the heads and bodies that they hold; 0: 64 MiB
	Timeout  time.Duration // that a request waits at most; 0: 10 s

	// Target is how long a request waits at most while there is overload, which there is when each one that was placed for Interval had
	// waited for longer than that. 0: 5 ms and 100 ms.
	Target, Interval time.Duration

	// FIFO: the first that came is the next one during overload too.
	FIFO bool
}

// The defaults.
const (
	DefaultMax      = 1000
	DefaultMaxBytes = 64 << 20
	DefaultTimeout  = 10 * time.Second
	DefaultTarget   = 5 * time.Millisecond
	DefaultInterval = 100 * time.Millisecond
)

const (
	// MaxPriority is the highest; requests have DefaultPriority if nobody says another.
	MaxPriority     = 9
	DefaultPriority = 5
)

// Check says what is wrong with o.
func (o Options) Check() error {
	switch {
	case o.Max < 0:
		return fmt.Errorf("max is %d: write how many requests may wait, 1 or more", o.Max)
	case o.MaxBytes < 0:
		return fmt.Errorf("max_bytes is %d: write how many bytes they may hold, 1 or more", o.MaxBytes)
	case o.Timeout < 0:
		return fmt.Errorf("timeout is %s: write a time of more than 0", o.Timeout)
	case o.Target < 0 || o.Interval < 0:
		return fmt.Errorf("target is %s and interval is %s: write times of more than 0", o.Target, o.Interval)
	}
	if o = o.withDefaults(); o.Target > o.Interval || o.Interval > o.Timeout {
		return fmt.Errorf("target is %s, interval %s and timeout %s: none may be longer than the next", o.Target, o.Interval, o.Timeout)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Target == 0 {
		o.Target = min(DefaultTarget, o.Timeout)
	}
	if o.Interval == 0 {
		o.Interval = min(max(DefaultInterval, o.Target), o.Timeout)
	}
	return o
}
