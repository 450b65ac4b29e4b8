package pool

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a shell that obeys the pool, with what may go wrong decided by bytes: when a spawn is answered and how, when a
// process becomes ready, dies, or asks to leave, what commands come and when time goes by.
type world struct {
	*checker
	calm   bool // no worker crashes, fails or leaves, and no slot goes: what the pool does is all that happens
	warmed bool // all were ready once
	cfg    Config
}

// newWorld makes a world of two bytes: the slots and how they are replaced, and the kind of world with what else is on.
func newWorld(b, kind byte) *world {
	calm := kind&1 != 0
	cfg := Default()
	cfg.Standby = int(kind >> 1 & 3)
	cfg.StallTimeout = []time.Duration{0, 3 * time.Second}[kind>>3&1]
	cfg.MaxAge = []time.Duration{0, 7 * time.Second}[kind>>4&1]
	cfg.AgeJitter = 0.2
	cfg.Strict = true
	cfg.Workers = int(b & 3)
	cfg.StopFirst = b&4 != 0
	cfg.MaxSurge = 1 + int(b>>3&1)
	cfg.MaxUnavailable = int(b >> 4 & 3)
	switch b >> 6 {
	case 1:
		cfg.Restart = RestartAlways
	case 2:
		cfg.Restart = RestartNever
	}
	if calm {
		cfg.Workers++
	}
	return &world{checker: newChecker(cfg, time.Unix(0, 0)), cfg: cfg, calm: calm}
}

func (w *world) feed(ev Event) error {
	if _, err := w.step(ev); err != nil {
		return fmt.Errorf("%#v at %v: %w", ev, w.now.Sub(time.Unix(0, 0)), err)
	}
	return w.available()
}

// available: in a rollout without failures, no more than the budget is missing.
func (w *world) available() error {
	if !w.calm || w.stopping || w.restoring { // what is only noted counts for nothing
		return nil
	}
	ready, missing := w.pool.Status().Ready, 0
	w.warmed = w.warmed || ready >= w.want
	if w.cfg.StopFirst {
		missing = max(1, w.cfg.MaxUnavailable)
	}
	if w.warmed && ready < w.want-missing {
		return fmt.Errorf("%d of %d are ready, %d may be missing", ready, w.want, missing)
	}
	return nil
}

// pick returns the n-th of the processes for which ok holds, counted round; nil if there is none.
func (w *world) pick(n int, ok func(*proc) bool) *proc {
	var some []*proc
	for _, p := range w.order {
		if ok(p) {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[n%len(some)]
}

func isPending(p *proc) bool  { return !p.spawned && !p.gone || !p.spawned && p.abandoned }
func isAlive(p *proc) bool    { return p.spawned && (!p.gone || p.abandoned) }
func isStarting(p *proc) bool { return p.spawned && !p.gone && !p.served && !p.leaving && !p.standby }
func isParking(p *proc) bool {
	return p.standby && p.spawned && !p.gone && !p.parked && !p.ending && !p.leaving
}
func isAsked(p *proc) bool     { return p.spawned && p.leaving && (!p.gone || p.abandoned) }
func everSpawned(p *proc) bool { return p.spawned }

// act does what two bytes say.
func (w *world) act(op, arg byte) error {
	n := int(arg)
	one := func(ok func(*proc) bool, ev func(p *proc) Event) error {
		if p := w.pick(n, ok); p != nil {
			return w.feed(ev(p))
		}
		return nil
	}
	spawned := func(p *proc) Event { return Spawned{p.id, int(p.id)} }
	ready := func(p *proc) Event { return Ready{p.id} }
	parked := func(p *proc) Event { return Parked{p.id} }
	if w.calm {
		op = []byte{0, 1, 2, 3, 3, 4, 5, 9, 17, 18, 19}[op%11]
	}
	switch op % 23 {
	case 0:
		return one(isPending, spawned)
	case 1:
		return one(isStarting, ready)
	case 2: // who was asked goes
		return one(isAsked, func(p *proc) Event { p.abandoned = false; return Exited{ID: p.id, Code: 0, Signal: 0} })
	case 3: // time goes to the deadline, or not quite so far; in a calm world only if no worker is late by that
		d := w.pool.Deadline()
		if d.IsZero() {
			w.now = w.now.Add(time.Duration(n) * time.Second)
			return nil
		}
		if w.calm && w.quiet() { // no worker can be late
			w.now = d
			return w.feed(Tick{})
		}
		if w.calm {
			w.now = w.now.Add(min(d.Sub(w.now)-1, time.Duration(n)*time.Millisecond))
			return nil
		}
		if arg&1 != 0 {
			w.now = w.now.Add(d.Sub(w.now) * time.Duration(n) / 256)
			return nil
		}
		w.now = d
		return w.feed(Tick{})
	case 4: // everybody does what it is there for
		for _, p := range w.order {
			var err error
			switch {
			case isPending(p) && !p.gone:
				err = w.feed(spawned(p))
			case isStarting(p):
				err = w.feed(ready(p))
			case isParking(p):
				err = w.feed(parked(p))
			case p.stalled && !p.gone:
				err = w.feed(Resumed{p.id})
			case isAsked(p) && !p.gone:
				err = w.feed(Exited{ID: p.id, Code: 0, Signal: 0})
			}
			if err != nil || w.done != nil {
				return err
			}
		}
		return nil
	case 5:
		return w.feed(Roll{})
	case 6:
		return one(isPending, func(p *proc) Event { p.abandoned = false; return SpawnFailed{p.id, "no"} })
	case 7:
		return one(isAlive, func(p *proc) Event { p.abandoned = false; return Exited{ID: p.id, Code: 1, Signal: 0} })
	case 8:
		return one(isAlive, func(p *proc) Event { p.abandoned = false; return Exited{ID: p.id, Code: 0, Signal: n & 9} })
	case 9: // also of those long gone
		if w.calm { // to recycle a starting one is a failure
			return one(func(p *proc) bool { return p.ready }, func(p *proc) Event { return Recycle{p.id, "recycled", n&1 != 0} })
		}
		return one(everSpawned, func(p *proc) Event { return Recycle{p.id, "recycled", n&1 != 0} })
	case 10:
		return one(everSpawned, func(p *proc) Event { return Leaving{p.id, "leaving"} })
	case 11:
		return one(everSpawned, ready)
	case 12:
		switch {
		case n%16 == 15:
			return w.feed(HoldRequests{For: time.Duration(n>>4) * time.Second})
		case n%16 == 14:
			return w.feed(PassRequests{})
		}
		return w.feed(Scale{n % 5})
	case 13:
		cfg := w.cfg
		cfg.Workers = n % 5
		cfg.StopFirst = n&8 != 0
		cfg.MaxSurge = n >> 4 & 3
		cfg.ReadyTimeout = time.Duration(n) * time.Second
		cfg.Standby = n >> 6
		cfg.MaxAge = []time.Duration{0, 20 * time.Second}[n>>3&1]
		return w.feed(Reconfigure{cfg})
	case 14:
		if arg < 64 { // rarely, else every story is short
			if arg&1 != 0 {
				if err := w.feed(Hurry{time.Duration(n) * 100 * time.Millisecond}); err != nil {
					return err
				}
			}
			if err := w.feed(Stop{}); err != nil || arg&2 == 0 {
				return err
			}
			return w.feed(Hurry{time.Second})
		}
	case 15:
		if arg < 32 {
			return w.feed(Kill{})
		}
	case 16: // time goes a little
		w.now = w.now.Add(time.Duration(n) * 37 * time.Millisecond)
	case 17:
		return one(isParking, parked)
	case 18:
		if w.calm { // to be stalled for long is a failure of a standby
			return one(func(p *proc) bool { return p.ready }, func(p *proc) Event { return Stalled{p.id, "queue"} })
		}
		return one(everSpawned, func(p *proc) Event { return Stalled{p.id, "queue"} })
	case 19:
		return one(everSpawned, func(p *proc) Event { return Resumed{p.id} })
	case 21:
		return w.feed(Hold{Slot: n % 5})
	case 22:
		return w.feed(Release{Slot: n%5 - 1})
	case 20: // in whatever order it says what
		return one(everSpawned, parked)
	}
	return nil
}

// quiet: every worker stays in its state until something happens.
func (w *world) quiet() bool {
	return w.pick(0, func(p *proc) bool {
		return isPending(p) || isStarting(p) || isParking(p) || isAsked(p)
	}) == nil
}

// rest lets all go well for a while. Then no slot is left that is not wanted.
func (w *world) rest() error {
	for range 20 {
		for range 3 { // who is spawned is ready, or parked and given a slot and ready, before anybody waits for it
			if err := w.act(4, 0); err != nil || w.done != nil {
				return err
			}
		}
		if d := w.pool.Deadline(); !d.IsZero() {
			w.now = d
			if err := w.feed(Tick{}); err != nil || w.done != nil {
				return err
			}
		}
	}
	if n := len(w.slots); n > w.want {
		return fmt.Errorf("%d slots are wanted, but %d open: %+v", w.want, n, w.pool.Status())
	}
	return w.reserve()
}

// reserve: after that all standbys are there, unless no slot could ever take one.
func (w *world) reserve() error {
	idle := true
	for _, s := range w.slots[:w.want] {
		idle = idle && (s.finished || s.held) // one that was held before it was ready lets no standby start
	}
	if there, _ := w.standbys(); !idle && there != w.checker.cfg.Standby {
		return fmt.Errorf("%d standbys, %d are wanted: %+v", there, w.checker.cfg.Standby, w.pool.Status())
	}
	return nil
}

// shutdown stops the app in a world where nothing happens any more but time.
func (w *world) shutdown() error {
	if err := w.feed(Stop{}); err != nil {
		return err
	}
	for ticks := 0; w.done == nil; ticks++ {
		d := w.pool.Deadline()
		if d.IsZero() {
			return fmt.Errorf("stopping, but waits for nothing: %+v", w.pool.Status())
		}
		if ticks > 3*len(w.order) {
			return fmt.Errorf("the stop does not end: %+v", w.pool.Status())
		}
		w.now = d
		if err := w.feed(Tick{}); err != nil {
			return err
		}
	}
	return nil
}

// FuzzPool plays arbitrary stories. The first byte makes the configuration, the second the kind of world, and each
// further pair is something that happens. The checker holds the rules; in the end, when all goes well for a while, the slots
// that are not wanted must be retired, and a stop must end everything.
func FuzzPool(f *testing.F) {
	f.Add([]byte{3, 0})
	f.Add([]byte{1, 0, 4, 0, 4, 0, 5, 0, 4, 0, 4, 0, 4, 0})
	f.Add([]byte{7, 0, 4, 0, 4, 0, 5, 0, 7, 1, 4, 0, 8, 9, 4, 0, 14, 0})
	f.Add([]byte{2, 1, 5, 0, 5, 0, 6, 0, 5, 0, 5, 0, 5, 0})
	f.Add([]byte{2, 31, 4, 0, 4, 0, 18, 1, 3, 0, 4, 0, 3, 0, 4, 0})
	f.Add([]byte{2, 12, 4, 0, 4, 0, 4, 0, 7, 1, 4, 0, 18, 1, 3, 0, 4, 0, 5, 0, 4, 0, 4, 0})
	f.Add([]byte{3, 0, 4, 0, 4, 0, 12, 1, 12, 4, 3, 0, 3, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, story []byte) {
		if len(story) < 2 || len(story) > 400 {
			return
		}
		w := newWorld(story[0], story[1])
		err := w.feed(Start{})
		for i := 2; i+1 < len(story) && err == nil && w.done == nil; i += 2 {
			err = w.act(story[i], story[i+1])
		}
		if err == nil && w.done == nil && !w.calm {
			err = w.rest()
		}
		if err == nil && w.done == nil {
			err = w.shutdown()
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestStories plays long stories of one seed each. A failing one is worth a script.
func TestStories(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 0))
		kind := byte(random.Uint32())&^1 | []byte{1, 0, 0, 0}[seed%4]
		w := newWorld(byte(random.Uint32()), kind)
		err := w.feed(Start{})
		for i := 0; i < 200 && err == nil && w.done == nil; i++ {
			// Half of what happens is that all goes well, else nothing lives long enough to be interesting.
			op := byte(random.Uint32())
			if random.Uint32()&1 == 0 {
				op = []byte{0, 1, 2, 4}[op&3]
			}
			err = w.act(op, byte(random.Uint32()))
		}
		if err == nil && w.done == nil && !w.calm {
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
