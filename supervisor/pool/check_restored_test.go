package pool

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// restore replaces the pool by one that goes on from its snapshot, that long after it was taken. Until the pool is told Restored,
// the checker only notes what it is told.
func (c *checker) restore(ago time.Duration) error {
	before := c.pool.snapshot(c.now)
	text, err := json.Marshal(before)
	if err != nil {
		return err
	}
	var saved Saved
	if err := json.Unmarshal(text, &saved); err != nil {
		return err
	}
	if !reflect.DeepEqual(saved, before) {
		return fmt.Errorf("JSON changes the snapshot\n%+v to\n%+v", before, saved)
	}
	c.now = c.now.Add(ago)
	pool, err := Restore(c.cfg, saved, c.now, ago)
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	if ago == 0 {
		if after := pool.snapshot(c.now); !reflect.DeepEqual(after, before) {
			return fmt.Errorf("the pool had\n%+v and restored it has\n%+v", before, after)
		}
	}
	twin, err := Restore(c.cfg, saved, c.now, ago)
	if err != nil {
		return err
	}
	twin.focus.always = true
	c.pool, c.twin, c.restoring, c.done, c.last = pool, twin, true, nil, nil
	return nil
}

// checkerOf makes a checker for a pool that was restored from what some other world has seen.
func checkerOf(p *Pool, cfg Config, now time.Time) *checker {
	c := newChecker(cfg, now)
	saved := p.snapshot(now)
	c.pool, c.restoring, c.want = p, true, saved.Want
	c.twin, _ = Restore(cfg, saved, now, 0)
	c.twin.focus.always = true
	c.started = saved.Phase != idle.String()
	c.stopping = saved.Phase == stopping.String() || saved.Phase == killing.String() || saved.Phase == done.String()
	c.served, c.asked = saved.Served, saved.Queued != ""
	for g := range saved.Newest + 1 {
		c.resolved[g] = true
	}
	add := func(slot int, w SavedWorker) {
		q := &proc{
			id: w.ID, slot: slot, generation: w.Generation, spawned: w.PID != 0,
			standby: slot == noSlot, assigned: w.Assigned,
			parked: w.State == StateStandby || w.Assigned, stalled: w.Stalled != "", asked: w.Dump != "", dumped: w.Dumped,
			ready: w.State == StateReady, served: w.WasReady,
			leaving: w.State == StateDraining || w.Sent > 0, ending: w.State == StateKilling,
			lingers: w.Sweeping, termed: w.Sent > 0, killed: w.Sent > 1,
			gone: w.State == StateGone, abandoned: w.State == StateGone,
		}
		if w.Told != nil {
			q.drain = &Drain{Handover: w.Told.Handover, Linger: w.Told.Linger}
		}
		c.procs[w.ID] = q
		c.order = append(c.order, q)
	}
	for n, s := range saved.Slots {
		c.slots = append(c.slots, room{swept: s.Swept, sweeps: s.Sweeps, filled: s.Filled, finished: s.Finished, held: s.Held != ""})
		if s.Replacing != "" {
			c.turns++
		}
		for _, w := range s.Workers {
			add(n, w)
		}
	}
	for _, w := range saved.Standbys.Workers {
		add(noSlot, w)
	}
	for _, w := range saved.Abandoned {
		add(w.Slot, w)
	}
	return c
}

// observeRestored: what was ordered and not found by now never came to be.
func (c *checker) observeRestored() {
	c.restoring, c.again = false, true
	for _, p := range c.order {
		if p.spawned || p.gone && !p.abandoned {
			continue
		}
		if !p.gone && !p.ending && !p.standby && p.slot < len(c.slots) && c.unwanted(p.slot) && c.slots[p.slot].sweeps > 0 {
			c.slots[p.slot].sweeps--
		}
		p.end()
		p.abandoned = false
	}
}

// patient: before Restored nothing is ordered, and time does nothing.
func (c *checker) patient(effects []Effect) error {
	for _, e := range effects {
		if _, ok := e.(Record); !ok {
			return fmt.Errorf("%#v before restored", e)
		}
	}
	if d := c.pool.Deadline(); !d.IsZero() {
		return fmt.Errorf("deadline %v before restored", d)
	}
	if again := c.pool.Step(c.now.Add(time.Hour), Tick{}); len(again) > 0 {
		return fmt.Errorf("%#v before restored", again)
	}
	return nil
}

// repeated: after Restored every worker has its orders, and the kernel too.
func (c *checker) repeated() error {
	if !c.again || c.done != nil || !c.started {
		return nil
	}
	for _, p := range c.order {
		if p.deaf && !p.gone && !p.abandoned {
			return fmt.Errorf("worker %d does not know of its order: %+v", p.id, p)
		}
	}
	if !c.stopping && !c.resteer {
		return fmt.Errorf("restored, but steers to nowhere")
	}
	return nil
}

func (c *checker) drainAgain(p *proc, e Drain) error {
	if !c.again && !(c.hurried && c.stopping) || p == nil || p.drain == nil || !p.leaving || p.termed || p.gone || p.slot != e.Slot {
		return fmt.Errorf("%+v: of %+v", e, p)
	}
	if e.Handover != (p.drain.Handover && c.ready(e.Slot) > 0) || e.Linger != p.drain.Linger {
		return fmt.Errorf("%+v: it was %+v", e, p.drain)
	}
	if e.Delay < 0 || e.Timeout < 0 || e.Delay+e.Timeout <= 0 {
		return fmt.Errorf("%+v: no time is left", e)
	}
	p.deaf = false
	c.drained = true
	return nil
}
