package pool

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// crash ends the master in the middle of what it had to do, has this and that happen while none lives, and has another one take
// over. What the last Step ordered is done up to a point; what was spawned is found or not; facts that the old
// master had not taken in are told to the new one.
func (w *world) crash(random *rand.Rand) error {
	never := map[WorkerID]bool{} // was spawned
	for crashes := 0; ; crashes++ {
		lost := w.last[random.IntN(len(w.last)+1):]
		if crashes > 0 {
			lost = nil // nothing was ordered
		}
		for _, e := range lost {
			switch e := e.(type) {
			case Assign:
				w.procs[e.ID].deaf = true
			case Drain:
				w.procs[e.ID].deaf = true
			case Signal:
				w.procs[e.ID].deaf = e.Kill // what has not got SIGTERM gets SIGKILL later
			case Spawn:
				never[e.ID] = true
			}
		}
		ago := time.Duration(random.Int64N(int64(40 * time.Second)))
		if random.IntN(2) == 0 {
			ago = time.Duration(random.Int64N(int64(time.Second)))
		}
		if d := w.pool.Deadline(); w.calm && !d.IsZero() {
			ago = min(ago, d.Sub(w.now)-1)
		}
		if crashes > 0 && w.calm || random.IntN(4) == 0 {
			ago = 0
		}
		if !w.calm && random.IntN(4) == 0 { // with another configuration
			w.checker.cfg.StopFirst = random.IntN(2) == 0
			w.checker.cfg.MaxSurge = 1 + random.IntN(2)
			w.checker.cfg.Standby = random.IntN(4)
			w.checker.cfg.Workers = random.IntN(5) // says nothing: the record does
		}
		if err := w.restore(ago); err != nil {
			return err
		}
		if err := w.meanwhile(random, never); err != nil {
			return err
		}
		if random.IntN(4) > 0 {
			break
		}
	}
	return w.feed(Restored{})
}

// converged: all is as it is wanted.
func (w *world) converged() error {
	for range 4 * len(w.slots) { // without time, in which a worker gets too old
		if err := w.act(4, 0); err != nil || w.done != nil {
			return err
		}
	}
	st := w.pool.Status()
	if st.Rollout != nil || st.Wanted != w.want {
		return fmt.Errorf("a rollout does not end, or %d slots are not wanted: %+v", w.want, st)
	}
	for _, s := range st.Slots {
		if s.Held == "" && !s.Finished && s.State != SlotFilled {
			return fmt.Errorf("slot %d is %v: %+v", s.Slot, s.State, st)
		}
	}
	return nil
}

// meanwhile is what happens while no master lives.
func (w *world) meanwhile(random *rand.Rand, never map[WorkerID]bool) error {
	for _, p := range w.order {
		var evs []Event
		switch {
		case isPending(p):
			if !never[p.id] && random.IntN(2) == 0 {
				evs = append(evs, Spawned{p.id, int(p.id)})
			}
		case isAsked(p):
			if random.IntN(2) == 0 {
				p.abandoned = false
				evs = append(evs, Exited{ID: p.id, Code: 0, Signal: 0})
			}
		case isStarting(p):
			if !p.deaf && random.IntN(2) == 0 {
				evs = append(evs, Ready{p.id})
			}
		case isParking(p):
			if random.IntN(2) == 0 {
				evs = append(evs, Parked{p.id})
			}
		}
		if !w.calm && p.spawned && !p.gone && len(evs) == 0 {
			switch random.IntN(12) {
			case 0:
				evs = append(evs, Exited{ID: p.id, Code: random.IntN(3) - 1, Signal: 0})
			case 1:
				evs = append(evs, Exited{ID: p.id, Code: 0, Signal: 9})
			case 2:
				evs = append(evs, Leaving{p.id, "leaving"})
			case 3:
				evs = append(evs, Stalled{p.id, "queue"})
			case 4:
				evs = append(evs, Resumed{p.id})
			case 5:
				evs = append(evs, Recycle{p.id, "its channel is lost", false})
			}
		}
		for _, ev := range evs {
			if err := w.feed(ev); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestRestoredStories plays stories in which the master dies again and again. The rules that hold always hold then too: IDs
// grow, no worker is counted twice or lost, no order is missed; and in the end, when all goes well, the world is what it
// would be if one master had lived all the time.
func TestRestoredStories(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 3))
		kind := byte(random.Uint32())&^1 | []byte{1, 0, 0, 0}[seed%4]
		w := newWorld(byte(random.Uint32()), kind)
		var err error
		if random.IntN(8) == 0 {
			err = w.crash(random) // before it began
		}
		if err == nil {
			err = w.feed(Start{})
		}
		for i := 0; i < 200 && err == nil && w.done == nil; i++ {
			if random.IntN(12) == 0 {
				if err = w.crash(random); err != nil {
					err = fmt.Errorf("crash after %d events: %w", i, err)
				}
				continue
			}
			op := byte(random.Uint32())
			if random.Uint32()&1 == 0 {
				op = []byte{0, 1, 2, 4}[op&3]
			}
			err = w.act(op, byte(random.Uint32()))
		}
		if err == nil && w.done != nil && random.IntN(2) == 0 { // the master that was to hear of the end may not have
			if err = w.crash(random); err == nil && w.done == nil {
				t.Fatalf("seed %d: done, and restored it does not say so", seed)
			}
		}
		if err == nil && w.done == nil && !w.calm {
			if err = w.rest(); err == nil && w.done == nil && !w.stopping {
				err = w.converged()
			}
		}
		if err == nil && w.done == nil {
			err = w.shutdown()
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
