package pool

import (
	"testing"
	"time"
)

// TestWithin holds what a deadline makes of the waits of a stop.
func TestWithin(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		name                           string
		delay, timeout, kill           time.Duration // as configured
		within, wantDelay, wantTimeout time.Duration
	}{
		{"docker's default", 1 * s, 30 * s, 5 * s, 10 * s, 1 * s, 6125 * ms},
		{"kubernetes' default", 1 * s, 30 * s, 5 * s, 30 * s, 1 * s, 23500 * ms},
		{"all fits", 1 * s, 5 * s, 2 * s, 10 * s, 1 * s, 5 * s},
		{"all fits to the millisecond", 1 * s, 30 * s, 5 * s, 36500 * ms, 1 * s, 30 * s},
		{"a millisecond is missing", 1 * s, 30 * s, 5 * s, 36499 * ms, 1 * s, 29999 * ms},
		{"no delay: more for the requests", 0, 30 * s, 5 * s, 10 * s, 0, 7125 * ms},
		{"a long delay gets a quarter", 60 * s, 30 * s, 5 * s, 10500 * ms, 2500 * ms, 5 * s},
		{"a long kill_after gets a quarter", 1 * s, 30 * s, 60 * s, 10500 * ms, 1 * s, 6500 * ms},
		{"one second", 1 * s, 30 * s, 5 * s, 1 * s, 187500 * time.Microsecond, 375 * ms},
		{"no time", 1 * s, 30 * s, 5 * s, 0, 0, 10 * ms},
		{"over", 1 * s, 30 * s, 5 * s, -5 * s, 0, 10 * ms},
		{"an hour", 1 * s, 30 * s, 5 * s, time.Hour, 1 * s, 30 * s},
	} {
		cfg := Default()
		cfg.DrainDelay, cfg.DrainTimeout, cfg.KillAfter = c.delay, c.timeout, c.kill
		if delay, timeout := cfg.Within(c.within); delay != c.wantDelay || timeout != c.wantTimeout {
			t.Errorf("%s: %v + %v, want %v + %v", c.name, delay, timeout, c.wantDelay, c.wantTimeout)
		}
	}
}

// TestHurryIsInTime: whatever the app is at when the stop begins, and though no worker obeys, the last SIGKILL comes
// half a second before the end, and the pool is done before it.
func TestHurryIsInTime(t *testing.T) {
	for _, story := range []string{
		"start/up 1/up 2", "start/up 1/spawned 2", "start/spawned 1", "start/up 1/up 2/leaving 1",
		"start/up 1/up 2/roll/spawned 3", "start/up 1/up 2/roll/up 3", "start/up 1/up 2/roll/up 3/exit 1/spawned 4",
		"start/up 1/up 2/scale 1",
	} {
		for _, within := range []time.Duration{10 * time.Second, 2 * time.Second, time.Minute} {
			for _, late := range []bool{false, true} { // the deadline comes after the stop
				p, now := arrange(t, story, true)
				begun := now
				var effects []Effect
				if late {
					effects = append(p.Step(now, Stop{}), p.Step(now, Hurry{within})...)
				} else {
					effects = append(p.Step(now, Hurry{within}), p.Step(now, Stop{})...)
				}
				var killed, done time.Time
				for range 100 {
					for _, e := range effects {
						switch e := e.(type) {
						case Signal:
							if e.Kill {
								killed = now
							}
						case Done:
							done = now
						}
					}
					if !done.IsZero() || p.Deadline().IsZero() {
						break
					}
					now = p.Deadline()
					effects = p.Step(now, Tick{})
				}
				if last := begun.Add(within - reserve); killed.After(last) {
					t.Errorf("%s: within %v, late %v: the last SIGKILL %v after the stop", story, within, late, killed.Sub(begun))
				}
				if done.IsZero() || done.After(begun.Add(within)) {
					t.Errorf("%s: within %v, late %v: done %v after the stop", story, within, late, done.Sub(begun))
				}
			}
		}
	}
}
