package pool

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// alike: a pool that looks at nothing but what is in focus does what one does that looks at everything; and who has taken each
// of its changes into its last Snapshot has what a Snapshot is now.
func (c *checker) alike(ev Event, effects []Effect) error {
	if all := c.twin.Step(c.now, ev); !reflect.DeepEqual(all, effects) {
		return fmt.Errorf("%#v orders %#v; with a look at everything it would be %#v", ev, effects, all)
	}
	if d, all := c.pool.Deadline(), c.twin.Deadline(); !d.Equal(all) {
		return fmt.Errorf("after %#v the deadline is %v; with a look at everything it would be %v", ev, d, all)
	}
	if c.pool.Waits() != c.twin.Waits() {
		return fmt.Errorf("after %#v it waits: %v", ev, c.pool.Waits())
	}
	turns := 0
	for _, s := range c.pool.slots {
		if s.replacing != "" {
			turns++
		}
	}
	if turns != c.pool.focus.turns {
		return fmt.Errorf("after %#v %d slots have their turn, and %d are counted", ev, turns, c.pool.focus.turns)
	}
	is := c.pool.snapshot(c.now)
	if all := c.twin.snapshot(c.now); !reflect.DeepEqual(is, all) {
		return fmt.Errorf("after %#v the pool is\n%+v; with a look at everything it would be\n%+v", ev, is, all)
	}
	if part, ok := c.pool.Changes(c.now); ok && c.now.Sub(c.mirrored) >= 0 && c.now.Sub(c.mirrored) < century {
		c.mirror.Age(c.now.Sub(c.mirrored))
		if err := c.mirror.Take(part); err != nil {
			return err
		}
	} else {
		c.mirror = c.pool.Snapshot(c.now)
	}
	c.mirrored = c.now
	if !c.jumps && !reflect.DeepEqual(c.mirror, is) {
		return fmt.Errorf("after %#v the pool is\n%+v; its changes make it\n%+v", ev, is, c.mirror)
	}
	return nil
}

// TestStepIsCheap: what a Step about one worker looks at, and what has changed then, does not depend on the number of slots.
func TestStepIsCheap(t *testing.T) {
	const slots = 1000
	cfg := Default()
	cfg.Workers = slots
	p, now := New(cfg), time.Unix(0, 0)
	var todo []Effect
	step := func(ev Event) {
		now = now.Add(time.Millisecond)
		todo = append(todo, p.Step(now, ev)...)
		if _, all := ev.(Roll); all || p.focus.wide {
			return
		}
		if n := len(p.focus.slots); n > 2 {
			t.Fatalf("%#v looks at %d slots", ev, n)
		}
	}
	wholes, parts := 0, 0
	run := func() {
		for len(todo) > 0 {
			e := todo[0]
			todo = todo[1:]
			switch e := e.(type) {
			case Spawn:
				step(Spawned{e.ID, int(e.ID)})
				step(Ready{e.ID})
			case Drain:
				step(Exited{ID: e.ID})
			default:
				continue
			}
			if part, ok := p.Changes(now); !ok {
				p.Snapshot(now)
				wholes++
			} else if parts++; len(part.Slots) > 3 {
				t.Fatalf("%d slots have changed", len(part.Slots))
			}
		}
	}
	step(Start{})
	p.Snapshot(now)
	run()
	step(Roll{})
	run()
	if p.Status().Generation != 2 || parts < 2*slots || wholes > 5 {
		t.Errorf("generation %d, %d parts, %d wholes", p.Status().Generation, parts, wholes)
	}
}
