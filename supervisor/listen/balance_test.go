package listen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

// scene is some slots whose views a test sets, looked at in steps.
type scene struct {
	now    time.Duration
	views  []view
	tracks []track
}

func newScene(slots int) *scene {
	s := &scene{now: time.Hour, views: make([]view, slots), tracks: make([]track, slots)}
	for i := range s.views {
		s.views[i].admitted = true
		s.views[i].seats[0].worker = uint64(i + 1)
	}
	return s
}

func (s *scene) look(after time.Duration) {
	s.now += after
	for i := range s.views {
		s.tracks[i].look(s.now, &s.views[i])
	}
}

func (s *scene) busy(slot, n int) { s.views[slot].seats[0].held = int64(n) * ipc.Weight }

func (s *scene) accept(slot, n int) { s.views[slot].seats[0].accepted += uint64(n) }

func (s *scene) balance(b *balance, after time.Duration) (changed bool) {
	s.look(after)
	return b.look(s.now, s.tracks)
}

func decided(b *balance) string {
	if len(b.open) == 0 {
		return "all"
	}
	if len(b.weights) == 0 {
		return fmt.Sprint(b.open)
	}
	return fmt.Sprint(b.open, b.weights)
}

func TestBalance(t *testing.T) {
	const tick = tickFast
	for _, c := range []struct {
		name  string
		slots int
		steps []func(s *scene) // a tick each
		want  []string         // after each
	}{
		{"nothing to do", 3, []func(*scene){func(*scene) {}}, []string{"all"}},
		{"one slot is all there is", 1, []func(*scene){
			func(s *scene) { s.views[0].queue = 5 }, func(*scene) {}, func(*scene) {}, func(*scene) {}, func(*scene) {},
		}, []string{"all", "all", "all", "all", "all"}},
		{"a queue that stands", 3, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.views[1].queue = 1 },
			func(*scene) {},
			func(*scene) {},
			func(s *scene) { s.views[1].queue = 0; s.accept(1, 1) },
			func(*scene) {}, func(*scene) {}, func(*scene) {},
			func(*scene) {},
		}, []string{"all", "all", "[0 1 2] [4 1 4]", "[0 2]",
			"[0 1 2] [4 1 4]", "[0 1 2] [4 1 4]", "[0 1 2] [4 1 4]", "[0 1 2] [4 1 4]", "all"}},
		{"a queue that moves", 2, []func(*scene){
			func(s *scene) { s.views[1].queue = 1 },
			func(s *scene) { s.accept(1, 1) }, func(s *scene) { s.accept(1, 1) }, func(s *scene) { s.accept(1, 1) },
			func(s *scene) { s.accept(1, 1) },
		}, []string{"all", "all", "all", "all", "all"}},
		{"several wait since the last accept", 3, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.views[1].queue = 2; s.accept(1, 1); s.views[1].since = 3 * time.Millisecond },
			func(s *scene) { s.accept(1, 1); s.views[1].since = 8 * time.Millisecond },
			func(s *scene) { s.views[1].since = 18 * time.Millisecond },
			func(s *scene) { s.views[1].since = 28 * time.Millisecond },
		}, []string{"all", "all", "[0 1 2] [4 1 4]", "[0 1 2] [4 1 4]", "[0 2]"}},
		{"the only other one stands", 2, []func(*scene){
			func(s *scene) { s.views[0].queue = 1 }, func(*scene) {}, func(*scene) {}, func(*scene) {},
		}, []string{"all", "[0 1] [1 4]", "[1]", "[1]"}},
		{"all stand", 2, []func(*scene){
			func(s *scene) { s.views[0].queue, s.views[1].queue = 1, 3 }, func(*scene) {}, func(*scene) {}, func(*scene) {},
		}, []string{"all", "all", "all", "all"}},
		{"all stand, one for much longer", 3, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.views[0].queue = 1 },
			func(*scene) {}, func(*scene) {}, func(*scene) {},
			func(s *scene) { s.views[1].queue, s.views[2].queue = 1, 1 },
			func(*scene) {}, func(*scene) {},
			func(*scene) {},
		}, []string{"all", "all", "[0 1 2] [1 4 4]", "[1 2]", "[1 2]", "[1 2]", "[1 2]", "[0 1 2] [1 4 4]", "[0 1 2] [1 4 4]"}},
		{"one that is not admitted does not count", 3, []func(*scene){
			func(s *scene) { s.views[0].admitted = false; s.views[1].queue = 1 }, func(*scene) {}, func(*scene) {}, func(*scene) {},
		}, []string{"all", "[1 2] [1 4]", "[2]", "[2]"}},
		{"busy for one look only", 3, []func(*scene){
			func(*scene) {}, func(s *scene) { s.busy(0, 30) }, func(s *scene) { s.busy(0, 0) }, func(*scene) {},
		}, []string{"all", "all", "all", "all"}},
		{"busy and busier", 4, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.busy(0, 4); s.busy(1, 10); s.busy(2, 20) }, func(*scene) {}, func(*scene) {}, func(*scene) {},
			func(s *scene) { s.busy(2, 40) }, func(*scene) {}, func(*scene) {}, func(*scene) {},
		}, []string{"all", "all", "all", "all", "[0 1 2 3] [3 2 1 4]",
			"[0 1 2 3] [3 2 1 4]", "[0 1 2 3] [3 2 1 4]", "[0 1 2 3] [3 2 1 4]", "[0 1 3] [3 2 4]"}},
		{"by load never fewer than two", 2, []func(*scene){
			func(s *scene) { s.busy(0, 100) },
		}, []string{"[0 1] [1 4]"}},
		{"all equally busy", 3, []func(*scene){
			func(s *scene) { s.busy(0, 1000); s.busy(1, 1000); s.busy(2, 1100) },
		}, []string{"all"}},
		// What is done between two looks tells nothing. The rest does.
		{"much to do and more done", 2, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.busy(0, 40); s.accept(0, 80) }, func(s *scene) { s.accept(0, 50) }, func(s *scene) { s.accept(0, 50) },
			func(s *scene) { s.accept(0, 50) }, func(s *scene) { s.accept(0, 50) },
			func(s *scene) { s.accept(0, 35) },
			func(s *scene) { s.accept(0, 30) },
			func(*scene) {},
		}, []string{"all", "all", "all", "all", "all", "all", "[0 1] [3 4]", "[0 1] [2 4]", "[0 1] [1 4]"}},
		{"a long queue that moves", 2, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.views[0].queue = 40; s.accept(0, 80) }, func(s *scene) { s.accept(0, 80) }, func(s *scene) { s.accept(0, 80) },
			func(s *scene) { s.accept(0, 80) }, func(s *scene) { s.accept(0, 80) },
		}, []string{"all", "all", "all", "all", "all", "all"}},
		{"it has just accepted more than waits", 3, []func(*scene){
			func(*scene) {},
			func(s *scene) { s.views[0].queue = 9; s.accept(0, 10); s.views[0].since = 8 * time.Millisecond },
			func(s *scene) { s.views[0].since = 18 * time.Millisecond },
			func(s *scene) { s.views[0].since = 28 * time.Millisecond },
		}, []string{"all", "all", "[0 1 2] [1 4 4]", "[1 2]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, b, before := newScene(c.slots), &balance{}, "all"
			for i, step := range c.steps {
				step(s)
				changed := s.balance(b, tick)
				got := decided(b)
				if got != c.want[i] {
					t.Errorf("step %d: %s, want %s", i, got, c.want[i])
				}
				if changed != (got != before) {
					t.Errorf("step %d: %s after %s is said to have changed: %v", i, got, before, changed)
				}
				before = got
			}
		})
	}
}

// A slot that was out of service for a while is back soon after.
func TestBalanceTakesBack(t *testing.T) {
	s, b := newScene(4), &balance{}
	s.balance(b, tickFast)
	s.views[2].queue = 9
	s.busy(2, 20)
	for range 50 {
		s.balance(b, tickFast)
	}
	if got := decided(b); got != "[0 1 3]" {
		t.Fatalf("a slot that stands still is not out: %s", got)
	}
	s.views[2].queue = 0
	s.accept(2, 9)
	s.busy(2, 0)
	for d := time.Duration(0); decided(b) != "all"; d += tickFast {
		if d > 80*time.Millisecond {
			t.Fatalf("after %s still %s", d, decided(b))
		}
		s.balance(b, tickFast)
	}
}

// Even load whose counters jitter must hardly ever change the program.
func TestBalanceIsCalm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s, b := newScene(8), &balance{}
	changes := 0
	const looks = 6000 // a minute
	for range looks {
		for i := range s.views {
			s.busy(i, r.IntN(4))
			s.accept(i, r.IntN(3))
		}
		if s.balance(b, tickFast) {
			changes++
		}
	}
	if changes > looks/20 {
		t.Errorf("%d changes in %d looks", changes, looks)
	}
	t.Logf("%d changes in %d looks", changes, looks)
}

// At saturation each worker gets done many times what it has to do at any moment, however unevenly that is spread: nothing is
// to be decided.
func TestBalanceAtSaturation(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	s, b := newScene(4), &balance{}
	s.balance(b, tickFast)
	calm := 0
	const looks = 6000
	for look := range looks {
		busy, queued := make([]int, 4), make([]int, 4)
		for range 64 {
			// Two have most of it for a while, then other two.
			slot := r.IntN(4)
			if r.IntN(2) == 0 {
				slot = slot&2 + look/20&1
			}
			if r.IntN(4) == 0 {
				queued[slot]++
			} else {
				busy[slot]++
			}
		}
		for i := range s.views {
			s.busy(i, busy[i])
			s.views[i].queue = queued[i]
			s.accept(i, 60+r.IntN(30))
		}
		if s.balance(b, tickFast) {
			t.Fatalf("decides for %s with %v busy, %v queued", decided(b), busy, queued)
		}
		if b.calm {
			calm++
		}
	}
	if calm < looks*9/10 {
		t.Errorf("calm in %d of %d looks", calm, looks)
	}
}

// Whatever workers write: some slot that is admitted gets connections, and no other.
func TestBalanceHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		s, b := newScene(1+r.IntN(6)), &balance{}
		for range 60 {
			admitted, moving := 0, 0
			for i := range s.views {
				v := &s.views[i]
				switch r.IntN(6) {
				case 0:
					v.seats[r.IntN(2)].held = int64(r.Uint64())
				case 1:
					v.seats[r.IntN(2)].accepted = r.Uint64()
				case 2:
					v.queue = r.IntN(3) * r.IntN(10000)
				case 3:
					v.admitted = r.IntN(3) > 0
				}
			}
			s.balance(b, time.Duration(r.IntN(30))*time.Millisecond)
			for i := range s.views {
				if s.views[i].admitted {
					admitted++
					if s.tracks[i].stands(s.now) < b.out {
						moving++
					}
				}
			}
			if !slices.IsSorted(b.open) || len(b.weights) != 0 && len(b.weights) != len(b.open) {
				t.Fatalf("%v %v", b.open, b.weights)
			}
			for i, slot := range b.open {
				if !s.views[slot].admitted || s.tracks[slot].stands(s.now) >= b.out {
					t.Fatalf("slot %d of %v is not to get any", slot, b.open)
				}
				if len(b.weights) > 0 && (b.weights[i] < 1 || b.weights[i] > fullWeight) {
					t.Fatalf("weights %v", b.weights)
				}
			}
			if n := len(b.open); n > 0 && n < min(2, moving) {
				t.Fatalf("%v, of %d admitted slots with %d that move", b.open, admitted, moving)
			}
		}
	}
}
