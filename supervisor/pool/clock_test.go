package pool

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// jump moves a world's clock and looks at what the pool orders. However far it went, that is bounded by the places there
// are.
func (w *world) jump(d time.Duration, ev Event) error {
	w.now = w.now.Add(d)
	effects, err := w.step(ev)
	if err != nil {
		return fmt.Errorf("after a jump by %v: %w", d, err)
	}
	spawns := 0
	for _, e := range effects {
		if _, ok := e.(Spawn); ok {
			spawns++
		}
	}
	if most := len(w.slots) + w.checker.cfg.Standby; spawns > most {
		return fmt.Errorf("after a jump by %v, %d workers were spawned at once in %d places", d, spawns, most)
	}
	return nil
}

// TestClockJumps plays stories in which the clock stands still or goes far ahead, and in every second one goes back too,
// which a monotonic one never does. No rule is broken by it, no storm of orders follows, and a stop ends everything. When all
// goes well again the pool does what it should; but where the clock has gone back, what is to be later may be much later.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	ahead := []time.Duration{0, 1, time.Second, time.Hour, year, 100 * year}
	back := []time.Duration{-100 * year, -year, -time.Hour, -time.Second, -1}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		jumps := ahead
		if seed&1 != 0 {
			jumps = append(back, ahead...)
		}
		w := newWorld(byte(random.Uint32()), byte(random.Uint32())&^1)
		w.jumps = true
		w.now = time.Date(2026, 3, 29, 2, 0, 0, 0, time.UTC)
		err := w.feed(Start{})
		for i := 0; i < 100 && err == nil && w.done == nil; i++ {
			op := byte(random.Uint32())
			switch random.Uint32() & 3 {
			case 0:
				d, ev := jumps[random.IntN(len(jumps))], Event(Tick{})
				if random.Uint32()&1 != 0 { // and that is noticed
					ev = Paused{d}
				}
				err = w.jump(d, ev)
				continue
			case 1:
				op = []byte{0, 1, 2, 4}[op&3]
			}
			err = w.act(op, byte(random.Uint32()))
		}
		if err == nil && w.done == nil && seed&1 == 0 {
			err = w.rest()
		}
		if err == nil && w.done == nil {
			err = w.shutdown()
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestWallClockDoesNotCount: what the pool makes of the times that it is given keeps their monotonic reading, so that
// setting the machine's clock moves no deadline.
func TestWallClockDoesNotCount(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(byte(random.Uint32()), byte(random.Uint32())&^1)
		w.jumps = true
		w.now = time.Now()
		err := w.feed(Start{})
		for i := 0; i < 100 && err == nil && w.done == nil; i++ {
			if d := w.pool.Deadline(); !d.IsZero() && !strings.Contains(d.String(), " m=") {
				t.Fatalf("seed %d: the deadline %v has lost its monotonic reading: %+v", seed, d, w.pool.Status())
			}
			err = w.act([]byte{0, 1, 2, 4, 3, 5, 7, 17, 18}[random.IntN(9)], byte(random.Uint32()))
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
