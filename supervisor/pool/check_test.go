package pool

import (
	"fmt"
	"slices"
	"time"
)

// A checker stands between a test and a pool and holds, at every Step, what must be true of every pool whatever happens.
// It knows the world only from the events and effects that pass through it.
type checker struct {
	pool     *Pool
	twin     *Pool // does the same, and looks at everything
	mirror   Saved // of what Snapshot and Changes have told
	mirrored time.Time
	jumps    bool // the clock does, by more than a duration can tell
	cfg      Config
	now      time.Time
	procs    map[WorkerID]*proc
	order    []*proc // by ID
	slots    []room  // open ones
	want     int     // slots, as the commands say; it stays what it was when a stop begins
	steered  []int   // as the last Steer said
	drained  bool    // in this Step
	resteer  bool    // in this Step
	served   bool    // a worker was ready once
	resolved map[int]bool
	started  bool
	asked    bool // for a rollout that has not begun
	stopping bool
	hurried  bool
	turns    int         // of slots, at the last Step
	loops    map[int]int // spawns in each slot with no time and no command between them
	looped   time.Time
	done     *Done

	restoring bool // the pool is restored, and was not told Restored
	again     bool // in this Step
	opened    int  // slots, in this Step, that were open before
	last      []Effect
}

// room is a slot as the world sees it.
type room struct {
	swept    bool // since it was steered to
	sweeps   int  // spawned since then
	filled   bool // a worker was ready there
	finished bool
	held     bool
}

// proc is a worker as the world sees it.
type proc struct {
	id         WorkerID
	slot       int
	generation int
	spawned    bool
	standby    bool // spawned without a slot, and not assigned
	parked     bool
	stalled    bool
	asked      bool // for a dump, by Recycle
	dumped     bool
	ready      bool // was told and is not on its way out
	served     bool // was ready once
	leaving    bool // drains, or was signalled
	ending     bool // of a standby: owed a signal
	lingers    bool // sweeps the slot, if it ends well
	termed     bool
	killed     bool
	assigned   bool
	drain      *Drain // the order; nil: none
	deaf       bool   // its last order was lost with the master that gave it
	gone       bool
	abandoned  bool
}

func newChecker(cfg Config, now time.Time) *checker {
	twin := New(cfg)
	twin.focus.always = true
	return &checker{
		pool: New(cfg), twin: twin, cfg: cfg.normal(), now: now, want: cfg.normal().Workers,
		procs: map[WorkerID]*proc{}, resolved: map[int]bool{1: true}, loops: map[int]int{},
	}
}

// step feeds one event and returns the effects, or the first rule that was broken.
func (c *checker) step(ev Event) ([]Effect, error) {
	c.drained, c.resteer, c.again, c.opened = false, false, false, 0
	c.observe(ev)
	effects := c.pool.Step(c.now, ev)
	c.last = effects
	if err := c.alike(ev, effects); err != nil {
		return effects, err
	}
	for i, e := range effects {
		if c.done != nil {
			return effects, fmt.Errorf("%#v after done", e)
		}
		if err := c.effect(e); err != nil {
			return effects, fmt.Errorf("effect %d: %w", i, err)
		}
	}
	if c.restoring {
		return effects, c.patient(effects)
	}
	if err := c.repeated(); err != nil {
		return effects, err
	}
	if err := agree(c.pool); err != nil {
		return effects, err
	}
	if err := c.settled(); err != nil {
		return effects, err
	}
	deadline := c.pool.Deadline()
	if !deadline.IsZero() && !deadline.After(c.now) {
		return effects, fmt.Errorf("deadline %v is not after now", deadline)
	}
	c.twin.Step(c.now, Tick{})
	if again := c.pool.Step(c.now, Tick{}); len(again) > 0 {
		return effects, fmt.Errorf("a second look at the same facts orders %#v", again)
	}
	if d := c.pool.Deadline(); !d.Equal(deadline) {
		return effects, fmt.Errorf("a second look moves the deadline from %v to %v", deadline, d)
	}
	return effects, nil
}

// observe notes what the event tells.
func (c *checker) observe(ev Event) {
	switch ev := ev.(type) {
	case Spawned:
		c.procs[ev.ID].spawned = true
	case SpawnFailed:
		c.procs[ev.ID].end()
	case Ready:
		if p := c.procs[ev.ID]; !p.leaving && !p.ending && !p.gone && !p.standby {
			p.ready, p.served = true, true
			c.served, c.slots[p.slot].filled, c.slots[p.slot].finished = true, true, false
		}
	case Parked:
		if p := c.procs[ev.ID]; p.standby {
			p.parked = true
		}
	case Stalled:
		c.procs[ev.ID].stalled = true
	case Resumed:
		c.procs[ev.ID].stalled = false
	case Leaving:
		if p := c.procs[ev.ID]; !p.gone {
			p.ready, p.leaving, p.deaf = false, true, false
		}
	case Exited:
		p := c.procs[ev.ID]
		if p.lingers && !p.gone && ev.Code == 0 && ev.Signal == 0 {
			c.slots[p.slot].swept = true
		}
		p.end()
	case Hurry:
		c.hurried = true
	case Stop, Kill:
		c.stopping = true
	case Reconfigure:
		if !c.stopping {
			c.cfg = ev.Config.normal()
			c.rescale(c.cfg.Workers)
		}
	case Start:
		c.started = true
	case Hold:
		if c.started && !c.stopping && ev.Slot >= 0 && ev.Slot < min(c.want, len(c.slots)) {
			c.slots[ev.Slot].held = true
		}
	case Release:
		c.release(ev.Slot)
	case Roll:
		c.release(noSlot)
		c.asked = c.asked || c.started && !c.stopping
	case Scale:
		for slot := range min(max(ev.N, 0), len(c.slots)) {
			c.release(slot)
		}
		if !c.stopping {
			c.rescale(clamp(ev.N, 0, MaxSlots))
		}
	case Recycle:
		c.procs[ev.ID].asked = c.procs[ev.ID].asked || ev.Dump
	case Tick:
	case Restored:
		c.observeRestored()
	}
	switch ev.(type) {
	case Restored, Scale, Roll, Recycle, Reconfigure, Hold, Release:
		clear(c.loops)
	}
	if !c.now.Equal(c.looped) {
		c.looped = c.now
		clear(c.loops)
	}
}

func (p *proc) end() { p.gone, p.ready = true, false }

func (c *checker) effect(e Effect) error {
	switch e := e.(type) {
	case Spawn:
		if e.Slot == noSlot {
			return c.spawnStandby(e)
		}
		return c.spawn(e)
	case Assign:
		return c.assign(e)
	case Dump:
		p := c.procs[e.ID]
		if p == nil || !p.ready || p.dumped || !p.asked && !p.stalled || c.stopping {
			return fmt.Errorf("%+v: of %+v", e, p)
		}
		p.dumped = true
	case Drain:
		p := c.procs[e.ID]
		if e.Again {
			return c.drainAgain(p, e)
		}
		if p == nil || !p.spawned || !p.ready || p.gone || p.slot != e.Slot {
			return fmt.Errorf("%+v: not a ready worker of that slot: %+v", e, p)
		}
		p.ready, p.leaving, p.lingers, p.drain = false, true, e.Linger, &e
		if e.Linger != (!c.stopping && c.unwanted(e.Slot)) {
			return fmt.Errorf("%+v: with %d slots wanted", e, c.want)
		}
		if p.standby {
			return fmt.Errorf("%+v: a standby", e)
		}
		c.drained = true
		// Without a stop or a scale down, a worker is only drained when another is ready beside it; or, where stop
		// comes first, within the budget.
		if !c.stopping && !c.unwanted(e.Slot) {
			if e.Handover != (c.ready(e.Slot) == 1) {
				return fmt.Errorf("%+v: but %d others are ready there", e, c.ready(e.Slot))
			}
			if !e.Handover && !c.cfg.StopFirst {
				return fmt.Errorf("%+v: leaves the slot without a ready worker", e)
			}
		} else if e.Handover {
			return fmt.Errorf("%+v: to no other worker", e)
		}
	case Signal:
		p := c.procs[e.ID]
		if p == nil || !p.spawned || p.gone && !p.abandoned {
			return fmt.Errorf("%+v: no such process: %+v", e, p)
		}
		if p.killed && !c.again || p.termed && !e.Kill {
			return fmt.Errorf("%+v: a second time", e)
		}
		p.ready, p.leaving = false, true
		p.termed, p.killed, p.deaf = true, e.Kill, false
	case OpenSlot:
		if c.again && e.Slot == c.opened && e.Slot < len(c.slots) {
			c.opened++
			return nil
		}
		if e.Slot != len(c.slots) || e.Slot >= MaxSlots {
			return fmt.Errorf("%+v: with %d slots open", e, len(c.slots))
		}
		c.slots = append(c.slots, room{})
	case Steer:
		if c.stopping || c.drained || c.resteer || slices.Equal(e.Slots, c.steered) && !c.again {
			return fmt.Errorf("%+v: with %v steered to; stopping %v, drained %v, a second time %v", e, c.steered, c.stopping, c.drained, c.resteer)
		}
		for _, slot := range e.Slots {
			if slot >= len(c.slots) {
				return fmt.Errorf("%+v: with %d slots open", e, len(c.slots))
			}
		}
		c.steered, c.resteer = e.Slots, true
	case RetireSlot:
		if e.Slot != len(c.slots)-1 || e.Slot < c.want || c.alive(e.Slot) > 0 || !c.stopping && slices.Contains(c.steered, e.Slot) {
			return fmt.Errorf("%+v: with %d slots open, %d wanted, %v steered to, %d workers in it", e, len(c.slots), c.want, c.steered, c.alive(e.Slot))
		}
		if c.unswept(e.Slot) {
			return fmt.Errorf("%+v: unswept: %+v", e, c.slots[e.Slot])
		}
		c.slots = c.slots[:e.Slot]
	case Resolve:
		if c.resolved[e.Generation] && !c.again {
			return fmt.Errorf("%+v: a second time", e)
		}
		c.resolved[e.Generation] = true
	case Record:
		if p := c.procs[e.ID]; p != nil {
			switch e.Kind {
			case KindTerminating, KindRecycle, KindReadyTimeout, KindKilling:
				p.ending = true
			}
		}
		switch e.Kind {
		case KindFinished:
			c.slots[e.Slot].finished = true
		case KindAbandoned:
			c.procs[e.ID].end()
			c.procs[e.ID].abandoned = true
		case KindGaveUp:
			c.stopping = true
		case KindRolloutBegin:
			if !c.asked {
				return fmt.Errorf("%+v: it was not asked for", e)
			}
			c.asked = false
		case KindRolloutDropped:
			if !c.asked || !c.stopping {
				return fmt.Errorf("%+v: only a stop drops what was asked for", e)
			}
			c.asked = false
		case KindImpossible:
			return fmt.Errorf("%+v", e)
		}
	case Done:
		for _, p := range c.order {
			if !p.gone {
				return fmt.Errorf("done, but worker %d lives", p.id)
			}
		}
		c.done = &e
	}
	return nil
}

func (c *checker) spawn(e Spawn) error {
	if n := len(c.order); n > 0 && e.ID <= c.order[n-1].id {
		return fmt.Errorf("%+v: the ID does not grow", e)
	}
	for _, p := range c.order {
		if p.fit() && p.generation == e.Generation {
			return fmt.Errorf("%+v: standby %d waits for a slot", e, p.id)
		}
	}
	if err := c.enter(e); err != nil {
		return err
	}
	p := &proc{id: e.ID, slot: e.Slot, generation: e.Generation}
	c.procs[e.ID] = p
	c.order = append(c.order, p)
	return nil
}

// fit: a slot may be given to it.
func (p *proc) fit() bool {
	return p.standby && p.parked && !p.stalled && !p.leaving && !p.ending && !p.gone
}

func (c *checker) assign(e Assign) error {
	p := c.procs[e.ID]
	if c.again && p != nil && p.assigned && p.slot == e.Slot && !p.served && !p.leaving && !p.gone {
		p.deaf = false
		return nil
	}
	if p == nil || !p.fit() {
		return fmt.Errorf("%+v: to one that does not wait for it: %+v", e, p)
	}
	if err := c.enter(Spawn{ID: e.ID, Slot: e.Slot, Generation: p.generation}); err != nil {
		return err
	}
	p.slot, p.standby, p.assigned = e.Slot, false, true
	return nil
}

func (c *checker) spawnStandby(e Spawn) error {
	if n := len(c.order); n > 0 && e.ID <= c.order[n-1].id {
		return fmt.Errorf("%+v: the ID does not grow", e)
	}
	if c.stopping || c.want == 0 || !c.served {
		return fmt.Errorf("%+v: it is not wanted", e)
	}
	if !c.resolved[e.Generation] {
		return fmt.Errorf("%+v: the generation is not resolved", e)
	}
	if there, all := c.standbys(); there >= c.cfg.Standby || all >= 2*c.cfg.Standby {
		return fmt.Errorf("%+v: %d are there, %d with those that go", e, there, all)
	}
	if c.loops[noSlot]++; c.loops[noSlot] > 4*c.cfg.Standby+len(c.slots) {
		return fmt.Errorf("%+v: the %dth in this instant", e, c.loops[noSlot])
	}
	p := &proc{id: e.ID, slot: noSlot, generation: e.Generation, standby: true}
	c.procs[e.ID] = p
	c.order = append(c.order, p)
	return nil
}

// standbys counts those that stay, and all whose processes may be there.
func (c *checker) standbys() (there, all int) {
	for _, p := range c.order {
		if p.standby && !p.gone {
			all++
			if !p.leaving && !p.ending {
				there++
			}
		}
	}
	return there, all
}

// enter checks that a worker may start in a slot.
func (c *checker) enter(e Spawn) error {
	if c.stopping || e.Slot < 0 || e.Slot >= len(c.slots) {
		return fmt.Errorf("%+v: it is not wanted", e)
	}
	if c.unwanted(e.Slot) {
		if c.alive(e.Slot) > 0 || !c.unswept(e.Slot) {
			return fmt.Errorf("%+v: it is not wanted, with %d workers there: %+v", e, c.alive(e.Slot), c.slots[e.Slot])
		}
		c.slots[e.Slot].sweeps++
	}
	if !c.resolved[e.Generation] {
		return fmt.Errorf("%+v: the generation is not resolved", e)
	}
	if n := c.alive(e.Slot); n > 1 || n == 1 && c.cfg.StopFirst {
		return fmt.Errorf("%+v: %d workers are in the slot", e, n)
	}
	for _, p := range c.order {
		if p.slot == e.Slot && !p.gone && !p.served && !p.leaving {
			return fmt.Errorf("%+v: worker %d is starting there", e, p.id)
		}
		if p.slot == e.Slot && !p.gone && !p.served && p.termed {
			return fmt.Errorf("%+v: worker %d never served and is not gone", e, p.id)
		}
	}
	// One for the rollout under way, one for the queued one that follows even its failure, and for each a first restart at
	// once.
	if c.loops[e.Slot]++; c.loops[e.Slot] > 4 {
		return fmt.Errorf("%+v: the %dth in this instant", e, c.loops[e.Slot])
	}
	return nil
}

// settled checks what must hold between Steps.
func (c *checker) settled() error {
	st := c.pool.Status()
	if c.done != nil {
		if !c.pool.Deadline().IsZero() {
			return fmt.Errorf("done, but waits for %v", c.pool.Deadline())
		}
		return nil
	}
	if c.asked && st.Phase == "running" && st.Rollout == nil {
		return fmt.Errorf("a rollout was asked for and is forgotten: %+v", st)
	}
	waits, turns := false, 0
	for _, s := range st.Slots {
		if s.Replacing != "" {
			turns++
		}
		if len(s.Workers) == 0 && st.Phase == "running" && !s.Finished && s.State != SlotBackoff &&
			(!c.unwanted(s.Slot) || c.unswept(s.Slot)) {
			return fmt.Errorf("slot %d is forgotten: %+v", s.Slot, s)
		}
		if s.State == SlotBackoff && st.Phase == "running" && (!c.unwanted(s.Slot) || len(s.Workers) == 0 && c.unswept(s.Slot)) {
			waits = true
		}
		if c.ready(s.Slot) > 1 {
			return fmt.Errorf("slot %d has two ready workers: %+v", s.Slot, s)
		}
		for _, w := range s.Workers {
			p := c.procs[w.ID]
			if p == nil || p.gone || p.slot != s.Slot || p.ready != (w.State == StateReady) {
				return fmt.Errorf("slot %d: status %+v, but it is %+v", s.Slot, w, p)
			}
			waits = waits || w.State != StateReady || st.Phase == "running" && c.waits(p, w)
		}
	}
	if there, _ := c.standbys(); there > c.cfg.Standby || c.stopping && there > 0 {
		return fmt.Errorf("%d standbys: %+v", there, st.Standbys)
	}
	for _, w := range st.Standbys {
		p := c.procs[w.ID]
		if p == nil || p.gone || !p.standby || w.State == StateStandby && !p.parked {
			return fmt.Errorf("standby: status %+v, but it is %+v", w, p)
		}
		if !p.leaving && !p.ending && w.Generation != st.Generation && (st.Rollout == nil || w.Generation != st.Rollout.Generation) {
			return fmt.Errorf("standby %+v is not needed: %+v", w, st)
		}
		waits = waits || w.State != StateStandby || st.Phase == "running" && c.waits(p, w)
	}
	if st.Phase == "running" {
		idle, filled := true, true
		for _, r := range c.slots[:c.want] {
			idle, filled = idle && r.finished, filled && (r.filled || r.finished || r.held)
		}
		there, all := c.standbys()
		if idle && there > 0 {
			return fmt.Errorf("%d standbys, but no slot for them: %+v", there, st)
		}
		waits = waits || !idle && filled && c.served && there < c.cfg.Standby && all < 2*c.cfg.Standby
	}
	if waits && c.pool.Deadline().IsZero() {
		return fmt.Errorf("something waits for time, but there is no deadline: %+v", st)
	}
	budget := c.cfg.MaxSurge
	if c.cfg.StopFirst {
		budget = max(1, c.cfg.MaxUnavailable)
	}
	if turns > budget && turns > c.turns { // a smaller budget does not take back the turns that are given
		return fmt.Errorf("%d slots have their turn, the budget is %d", turns, budget)
	}
	c.turns = turns
	if best := c.best(); c.started && !c.stopping && !slices.Equal(c.steered, best) {
		return fmt.Errorf("steers to %v, should to %v", c.steered, best)
	}
	return nil
}

// waits: time will do something about a worker that is where it stays.
func (c *checker) waits(p *proc, w WorkerStatus) bool {
	stalled := c.cfg.StallTimeout > 0 && p.stalled && !p.dumped
	old := c.cfg.MaxAge > 0 && p.ready && w.Recycle == ""
	return stalled || old
}

// best are the slots that shall get new connections.
func (c *checker) best() (best []int) {
	for _, fit := range []func(*proc) bool{
		func(p *proc) bool { return p.ready && !p.stalled },
		func(p *proc) bool { return p.ready },
	} {
		for slot := range c.want {
			if slot < len(c.slots) && !c.slots[slot].held && slices.ContainsFunc(c.order, func(p *proc) bool { return p.slot == slot && fit(p) }) {
				best = append(best, slot)
			}
		}
		if len(best) > 0 {
			return best
		}
	}
	for slot := range min(c.want, len(c.slots)) {
		if !c.slots[slot].held {
			best = append(best, slot)
		}
	}
	if len(best) > 0 {
		return best
	}
	for slot := range c.want {
		best = append(best, slot)
	}
	return best
}

// unwanted: no worker shall stay in the slot.
func (c *checker) unwanted(slot int) bool { return slot >= c.want || c.slots[slot].held }

func (c *checker) release(slot int) {
	if c.stopping {
		return
	}
	for n := range c.slots {
		if c.slots[n].held && (slot == noSlot || slot == n) {
			c.slots[n].held = false
			c.takeBack(n)
		}
	}
}

// rescale changes how many slots are wanted, and takes back those that are still there.
func (c *checker) rescale(n int) {
	for slot := c.want; slot < min(n, len(c.slots)); slot++ {
		c.takeBack(slot)
	}
	c.want = n
}

// unswept: a slot that is not steered to any more cannot be retired while no worker lives in it; one shall be spawned.
func (c *checker) unswept(slot int) bool {
	r := c.slots[slot]
	return c.served && !c.stopping && !r.swept && !r.finished && r.sweeps < maxSweeps && c.cfg.Restart != RestartNever
}

// takeBack: connections come to the slot again, and those who linger there may not see them.
func (c *checker) takeBack(slot int) {
	c.slots[slot].swept, c.slots[slot].sweeps, c.slots[slot].held = false, 0, false
	for _, p := range c.order {
		if p.slot == slot {
			p.lingers = false
		}
	}
}

func (c *checker) alive(slot int) (n int) {
	for _, p := range c.order {
		if p.slot == slot && !p.gone {
			n++
		}
	}
	return n
}

func (c *checker) ready(slot int) (n int) {
	for _, p := range c.order {
		if p.slot == slot && p.ready {
			n++
		}
	}
	return n
}
