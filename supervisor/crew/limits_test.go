package crew

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// TestExceeded: a worker is replaced beyond a limit, not at it, but for the number of requests; and without a limit never.
func TestExceeded(t *testing.T) {
	slow, many := config.App{RequestTimeout: time.Second}, config.App{MaxRequests: 100, RecycleJitter: 0.1}
	both := config.App{RequestTimeout: time.Second, MaxRequests: 100}
	for name, c := range map[string]struct {
		config   config.App
		jitter   float64
		requests uint64
		oldest   time.Duration
		why      string
		slow     bool
	}{
		"no limit":           {config.App{}, 0, 1 << 40, time.Hour, "", false},
		"in time":            {slow, 0, 1, time.Second, "", false},
		"too slow":           {slow, 0, 1, 1500 * time.Millisecond, "request timeout: one is 1.5s old", true},
		"none in progress":   {slow, 0, 1 << 40, 0, "", false},
		"one is left":        {many, 0, 99, time.Hour, "", false},
		"all are served":     {many, 0, 100, 0, "max requests: 100 served", false},
		"its share of them":  {many, -1, 90, 0, "max requests: 90 served", false},
		"its share is more":  {many, 1, 109, 0, "", false},
		"slow tells of both": {both, 0, 100, 2 * time.Second, "request timeout: one is 2s old", true},
	} {
		m := &Worker{App: &App{Config: c.config}, Jitter: c.jitter}
		if why, slow := m.exceeded(c.requests, c.oldest); why != c.why || slow != c.slow {
			t.Errorf("%s: %q, %v", name, why, slow)
		}
	}
}

// TestPulse: a request timeout is kept to a quarter, but no check comes more often than every 50 ms.
func TestPulse(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		0: time.Second, time.Millisecond: 50 * time.Millisecond, time.Second: 250 * time.Millisecond, time.Hour: time.Second,
	} {
		if got := pulse(config.App{RequestTimeout: timeout}); got != want {
			t.Errorf("%s: every %s, want %s", timeout, got, want)
		}
	}
}

// TestMemoryCheck: the memory is looked at every two seconds while an app has a limit, and at no time else.
func TestMemoryCheck(t *testing.T) {
	var k memoryCheck
	now := time.Unix(1000, 0)
	if !k.next(now, false).IsZero() || k.due(now.Add(time.Hour)) {
		t.Error("looked at without a limit")
	}
	first := k.next(now, true)
	if !first.Equal(now.Add(rssEvery)) || !k.next(now.Add(time.Second), true).Equal(first) {
		t.Errorf("first at %v", first)
	}
	if k.due(first.Add(-1)) || !k.due(first) || k.due(first) {
		t.Error("not once, when it is due")
	}
	if again := k.next(first, true); !again.Equal(first.Add(rssEvery)) {
		t.Errorf("again at %v", again)
	}
	if !k.next(first, false).IsZero() || k.due(first.Add(time.Hour)) {
		t.Error("looked at when the limit is gone")
	}
}

// TestLimitIsToldOnce: a worker that has reached a limit is queued for its replacement once, however often that is seen.
func TestLimitIsToldOnce(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{Best: listen.KindHash})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	a := s.app
	a.Sockets, a.Config.MaxRequests = NewSockets(set), 5
	s.launch = func(*Starter, context.Context, *Worker, *launch.Generation) {} // its replacement needs no process
	now := time.Now()
	for _, ev := range []pool.Event{pool.Start{}, pool.Spawned{ID: 1, PID: 11}, pool.Ready{ID: 1}} {
		a.Pool.Step(now, ev)
	}
	s.m.BecameReady()
	if s.m.Seat = a.Sockets.Sit(0, 1); s.m.Seat == nil {
		t.Fatal("no free seat")
	}
	s.m.Seat.Row.Classes[1].Store(4)
	s.checkLimits(a)
	if s.m.Over {
		t.Error("replaced before the limit")
	}
	s.m.Seat.Row.Classes[4].Store(1)
	s.checkLimits(a)
	s.checkLimits(a)
	if log := s.said(); !s.m.Over || strings.Count(log, "max requests: 5 served") != 1 {
		t.Errorf("over %v: %s", s.m.Over, log)
	}
}
