package listen

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// stallScene is one slot that a stall judges every 250 ms.
type stallScene struct {
	*scene
	stall  stall
	shared standing
	common int // connections that wait in shared sockets
	v      *view
}

func newStallScene() *stallScene {
	s := &stallScene{scene: newScene(1)}
	s.v = &s.views[0]
	return s
}

func (s *stallScene) step() verdict {
	s.look(tickLoad)
	s.shared.look(s.now, s.common, s.tracks[0].accepted)
	return s.stall.look(s.now, &s.tracks[0], s.shared)
}

// verdicts is what n steps tell, each as a letter: s, r, or a dot for nothing.
func (s *stallScene) verdicts(n int, each func(i int)) string {
	var b strings.Builder
	for i := range n {
		if each != nil {
			each(i)
		}
		switch v := s.step(); {
		case v.stalled:
			b.WriteByte('s')
		case v.resumed:
			b.WriteByte('r')
		default:
			b.WriteByte('.')
		}
	}
	return b.String()
}

func TestStall(t *testing.T) {
	beats := func(s *stallScene) { s.v.seats[0].heartbeat++ }
	for _, c := range []struct {
		name  string
		n     int
		steps map[int]func(s *stallScene)
		each  func(s *stallScene)
		want  string
	}{
		{"at rest", 8, nil, nil, "........"},
		{"a queue that stands", 8, map[int]func(*stallScene){1: func(s *stallScene) { s.v.queue = 3 }}, nil, ".....s.."},
		{"a queue that grows", 7, nil, func(s *stallScene) { s.v.queue++ }, "....s.."},
		{"a queue that is counted off", 9, nil, func(s *stallScene) { s.v.queue = 3; s.accept(0, 1) }, "........."},
		{"a queue that shrinks at times", 9, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 9 }, 3: func(s *stallScene) { s.v.queue-- }, 6: func(s *stallScene) { s.v.queue-- }}, nil, "........."},
		{"accepted again", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }, 6: func(s *stallScene) { s.accept(0, 1) }}, nil, "....s.r."},
		{"and once more", 11, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }, 6: func(s *stallScene) { s.accept(0, 1) }}, nil, "....s.r...s"},
		{"the queue has gone", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }, 6: func(s *stallScene) { s.v.queue = 0 }}, nil, "....s.r."},
		{"no worker", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3; s.v.seats[0].worker = 0 }}, nil, "........"},
		{"not admitted", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3; s.v.admitted = false }}, nil, "........"},
		{"stalled, then not admitted", 9, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }, 5: func(s *stallScene) { s.v.admitted = false }, 7: func(s *stallScene) { s.accept(0, 3) }}, nil, "....s..r."},
		{"beats", 9, map[int]func(*stallScene){0: func(s *stallScene) { s.v.seats[0].open = 2 }}, beats, "........."},
		{"no heartbeat", 9, map[int]func(*stallScene){1: func(s *stallScene) { s.v.seats[0].open = 2 }}, nil, "....s...."},
		{"no heartbeat, then one", 9, map[int]func(*stallScene){1: func(s *stallScene) { s.v.seats[0].open = 2 }, 6: beats}, nil, "....s.r.."},
		{"no heartbeat and nothing open", 9, nil, nil, "........."},
		{"the worker has gone", 8, map[int]func(*stallScene){1: func(s *stallScene) { s.v.seats[0].open = 2 }, 6: func(s *stallScene) { s.v.seats[0].worker = 0 }}, nil, "....s.r."},
		{"another worker", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }, 6: func(s *stallScene) { s.v.seats[0].worker = 9 }}, nil, "....s.rs"},
		{"both, then one", 9, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue, s.v.seats[0].open = 3, 1 }, 6: func(s *stallScene) { s.accept(0, 1) }, 7: beats}, nil, "....s..r."},
		// In a surge.
		{"a second worker serves beside the stalled one", 12, map[int]func(*stallScene){
			0: func(s *stallScene) { s.v.queue = 3 },
			5: func(s *stallScene) { s.v.seats[1].worker = 9 },
			6: func(s *stallScene) { s.v.queue, s.v.seats[1].accepted = 0, 3 },
			9: func(s *stallScene) { s.v.seats[0].worker = 0 },
		}, nil, "....s....r.."},
		{"the one that drains is not judged", 9, map[int]func(*stallScene){
			0: func(s *stallScene) { s.v.seats[0].open = 2; s.v.seats[1].worker = 9 },
		}, nil, "........."},
		{"its successor is", 9, map[int]func(*stallScene){
			0: func(s *stallScene) { s.v.seats[0].open = 2; s.v.seats[1].worker = 9 },
			1: func(s *stallScene) { s.v.seats[1].open = 1 },
		}, beats, "....s...."},
		{"the second has gone again", 9, map[int]func(*stallScene){
			0: func(s *stallScene) { s.v.seats[0].open = 2; s.v.seats[1].worker = 9 },
			6: func(s *stallScene) { s.v.seats[1].worker = 0 },
		}, nil, "......s.."},
		// Sockets that all slots share.
		{"a shared queue stands, and who counts does not accept", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.accept(0, 1); s.common = 1 }}, nil, "....s..."},
		{"a shared queue, and no worker counts", 8, map[int]func(*stallScene){0: func(s *stallScene) { s.common = 1 }}, nil, "........"},
		{"told again", 26, map[int]func(*stallScene){0: func(s *stallScene) { s.v.queue = 3 }}, nil, "....s...................s."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStallScene()
			got := s.verdicts(c.n, func(i int) {
				if do := c.steps[i]; do != nil {
					do(s)
				}
				if c.each != nil {
					c.each(s)
				}
			})
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestStallSaysWhy(t *testing.T) {
	for want, v := range map[string]verdict{
		"for 1.25s 1 connection has waited to be accepted": {queue: 1, age: 1250 * time.Millisecond},
		"for 1s 12 connections have waited to be accepted": {queue: 12, age: 1001 * time.Millisecond},
		"for 2s no heartbeat with 4 connections open":      {open: 4, age: 2 * time.Second},
		"for 10.5s no heartbeat with 1 connection open":    {open: 1, age: 10*time.Second + 499*time.Millisecond},
	} {
		if got := v.Why(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A watcher that was stopped itself concludes nothing from what it has not seen.
func TestRunClock(t *testing.T) {
	var c runClock
	at := time.Hour
	look := func(took, asked time.Duration) time.Duration {
		before := c.now
		at += took
		return c.look(int64(at), asked) - before
	}
	look(0, 0)
	for _, s := range []struct{ took, asked, want time.Duration }{
		{250 * time.Millisecond, tickLoad, 250 * time.Millisecond},
		{251 * time.Millisecond, tickLoad, 251 * time.Millisecond},
		{10 * time.Second, tickLoad, tickLoad},
		{31 * time.Millisecond, tickFast, tickFast},
		{29 * time.Millisecond, tickFast, 29 * time.Millisecond},
		{3 * time.Millisecond, tickQuiet, 3 * time.Millisecond},
		{time.Hour, 0, 0},
		{-time.Second, tickLoad, 0},
	} {
		if got := look(s.took, s.asked); got != s.want {
			t.Errorf("asked for %s, took %s: %s count, want %s", s.asked, s.took, got, s.want)
		}
	}
	// So no stall comes of a gap.
	s := newStallScene()
	var clock runClock
	at = 0
	s.v.queue = 1
	for i := range 3 {
		at += 10 * time.Second
		now := clock.look(int64(at), tickLoad)
		s.tracks[0].look(now, s.v)
		if v := s.stall.look(now, &s.tracks[0], standing{}); v.stalled {
			t.Errorf("look %d, each 10 s after the one before: stalled", i)
		}
	}
}

// Nothing that workers write makes a slot stalled within less than a second, or told twice in a row.
func TestStallHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		s := newStallScene()
		on, quiet := false, time.Duration(0)
		for range 100 {
			if r.IntN(3) == 0 {
				seat := &s.v.seats[r.IntN(2)]
				switch r.IntN(6) {
				case 0:
					seat.worker = uint64(r.IntN(3))
				case 1:
					seat.accepted = r.Uint64()
				case 2:
					seat.heartbeat = int64(r.Uint64())
				case 3:
					seat.open = int64(r.IntN(5)) - 2
				case 4:
					s.v.queue = r.IntN(3)
				case 5:
					s.v.admitted = r.IntN(2) == 0
				}
			}
			v := s.step()
			quiet += tickLoad
			if v.stalled && (on && quiet < stallAgain || s.now-time.Hour < stallAfter || !s.v.admitted) || v.resumed && !on || v.stalled && v.resumed {
				t.Fatalf("%+v, stalled before: %v", v, on)
			}
			if v.stalled {
				on, quiet = true, 0
			} else if v.resumed {
				on = false
			}
		}
	}
}
