package worker

import (
	"testing"
	"time"
)

func TestCountdownCountsOnlyTimeThatItRan(t *testing.T) {
	const ms = time.Millisecond
	const exact = 0 // the wait took what was asked for
	for _, c := range []struct {
		name  string
		delay time.Duration
		took  []time.Duration // of the first waits; the others are exact
		waits int
		ran   time.Duration
	}{
		{"undisturbed", 100 * ms, nil, 5, 100 * ms},
		{"no delay", 0, nil, 0, 0},
		{"shorter than a tick", 5 * ms, nil, 1, 5 * ms},
		{"woken a little late, as always", 100 * ms, []time.Duration{30 * ms, 30 * ms, 39 * ms}, 4, 100 * ms},
		{"stopped in the middle", 100 * ms, []time.Duration{exact, 900 * ms}, 6, 120*ms - 20*ms + 900*ms},
		{"stopped at the end", 100 * ms, []time.Duration{exact, exact, exact, exact, 900 * ms}, 6, 80*ms + 900*ms + 20*ms},
		{"stopped when little was left", 90 * ms, []time.Duration{exact, exact, exact, exact, 900 * ms}, 6, 80*ms + 900*ms + 20*ms},
		{"short, and stopped", 5 * ms, []time.Duration{900 * ms}, 2, 905 * ms},
		{"never gets the CPU in time", 100 * ms, []time.Duration{50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms}, 7, 350 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newCountdown(c.delay)
			waits, ran := 0, time.Duration(0)
			for asked := d.ask(); asked > 0; asked = d.ask() {
				took := asked
				if waits < len(c.took) && c.took[waits] != exact {
					took = c.took[waits]
				}
				d.waited(asked, took)
				ran += took
				if waits++; waits > 1000 {
					t.Fatal("it never ends")
				}
			}
			if waits != c.waits || ran != c.ran {
				t.Errorf("%d waits in %v, want %d in %v", waits, ran, c.waits, c.ran)
			}
		})
	}
}

func TestCountdownEndsWithTheDrain(t *testing.T) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		newCountdown(time.Hour).count(stop, func() { t.Error("it was not over") })
	}()
	close(stop)
	<-ended
}

func TestLongCountdownForgivesAPause(t *testing.T) {
	d := newLongCountdown(30 * time.Second)
	ran, waits := time.Duration(0), 0
	for asked := d.ask(); asked > 0; asked = d.ask() {
		if waits++; waits == 59 { // almost over
			d.waited(asked, time.Hour)
			continue
		}
		d.waited(asked, asked+longStandstill) // busy
		ran += asked + longStandstill
	}
	if least, most := 28*time.Second, 31*time.Second; ran < least || ran > most {
		t.Errorf("it has run for %s beside the pause, want from %s to %s", ran, least, most)
	}
}
