package apps

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// checker holds the rules that hold in every Step, whatever has happened before:
//
//   - no run starts before each run that it needs is what it needs
//   - a run is told to stop once, and only when no running app that leaves too needs it, or in a circle
//   - a run ends once, and nothing is ordered for one that was forgotten
//   - at most one hook of a kind runs for a run
//   - a drain that is held is released once, in time, unless it was told anew or its run has ended
//   - what the record of a run has changes only with a Save of it
//   - a Tick at Deadline gets on
//   - the master ends exactly when nothing can run again
type checker struct {
	w         *world
	stops     map[ID]int
	closed    map[ID]bool
	known     map[ID]bool
	told      map[ID]bool   // live runs that were told to end, before the Step
	recorded  map[ID]record // before the Step
	deadline  time.Time     // before a Tick
	held      map[heldOf]bool
	mayImpose bool // events may be impossible
}

type heldOf struct {
	app    ID
	worker pool.WorkerID
}

// record is what the record of the master has of a run.
type record struct {
	ended, waits, leaves, halted, everReady, starting bool
	origin                                            Origin
	replaces                                          ID
	code                                              int
	due                                               time.Time
}

func recordOf(r *Run) record {
	return record{r.Ended(), r.Waits(), r.Leaves(), r.Halted() && r.Next() == 0, r.EverReady(), r.Starting(), r.Origin(), r.Replaces(), r.code, r.NextRun()}
}

func (c *checker) before(ev Event) {
	c.recorded, c.told, c.deadline = map[ID]record{}, map[ID]bool{}, time.Time{}
	for _, r := range c.w.apps.Runs() {
		c.recorded[r.ID()] = recordOf(r)
		c.told[r.ID()] = r.State() == Stopping || r.State() == Killing
	}
	switch ev := ev.(type) {
	case Tick:
		c.deadline = c.w.apps.Deadline()
	case Stepped:
		for _, d := range ev.Held {
			c.held[heldOf{ev.App, d.Drain.ID}] = true
		}
		for _, id := range ev.Told {
			delete(c.held, heldOf{ev.App, id})
		}
		if ev.Done != nil {
			maps.DeleteFunc(c.held, func(h heldOf, _ bool) bool { return h.app == ev.App })
		}
	}
}

func (c *checker) check(ev Event, effects []Effect) error {
	s := c.w.apps
	saved := map[ID]bool{}
	for i, e := range effects {
		if c.w.done != nil {
			return fmt.Errorf("%s after done", c.w.describe(e))
		}
		if err := c.effect(e, saved); err != nil {
			return err
		}
		switch e.(type) {
		case Order:
			if i != 0 {
				return fmt.Errorf("order is not first")
			}
		case Done:
			if i != len(effects)-1 {
				return fmt.Errorf("done is not last")
			}
		}
	}
	for _, r := range s.Runs() {
		if was, is := c.recorded[r.ID()], recordOf(r); was != is && !saved[r.ID()] {
			if step, ok := ev.(Stepped); ok && step.App == r.ID() {
				continue // the shell saves it with the step of its pool
			}
			return fmt.Errorf("run %d was %+v and is %+v, and is not saved", r.ID(), was, is)
		}
	}
	if !c.deadline.IsZero() && !c.w.now.Before(c.deadline) {
		if next := s.Deadline(); !next.IsZero() && !next.After(c.w.now) {
			return fmt.Errorf("a tick at %v leaves the deadline at %v", c.w.now.Sub(begin), next.Sub(begin))
		}
	}
	if _, is := ev.(Tick); is {
		for _, r := range s.runs {
			for _, d := range slices.Concat(r.hooks.waiting, r.hooks.inRun) {
				if !d.until.After(c.w.now) {
					return fmt.Errorf("the drain of worker %d is held for too long", d.Drain.ID)
				}
			}
		}
	}
	for h := range c.held {
		if r := s.Run(h.app); r == nil || !r.IsHeld(h.worker) {
			return fmt.Errorf("the drain of worker %d of run %d is lost", h.worker, h.app)
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	for _, r := range s.Runs() {
		if s.Run(r.ID()) != r || r.State() == Unknown {
			return fmt.Errorf("run %d is lost", r.ID())
		}
	}
	return nil
}

func (c *checker) effect(e Effect, saved map[ID]bool) error {
	run := func(id ID) error {
		if !c.known[id] {
			return fmt.Errorf("%s: of no run", c.w.describe(e))
		}
		return nil
	}
	switch e := e.(type) {
	case Order:
		for _, id := range e.Apps {
			c.known[id] = true
		}
	case Save:
		for _, id := range e.Apps {
			saved[id] = true
		}
	case Start:
		if err := c.startable(e.App); err != nil {
			return err
		}
		return run(e.App)
	case Pool:
		if _, is := e.Event.(pool.Stop); is {
			if err := c.stoppable(e.App); err != nil {
				return err
			}
		}
		return run(e.App)
	case RunHook:
		if c.w.hooks[e.App][e.Hook] {
			return fmt.Errorf("%s: one runs", c.w.describe(e))
		}
		return run(e.App)
	case Release:
		if h := (heldOf{e.App, e.Drain.ID}); !c.held[h] {
			return fmt.Errorf("%s: it was not held", c.w.describe(e))
		} else {
			delete(c.held, h)
		}
		return run(e.App)
	case Close:
		if c.closed[e.App] {
			return fmt.Errorf("%s again", c.w.describe(e))
		}
		c.closed[e.App] = true
		return run(e.App)
	case Forget:
		err := run(e.App)
		delete(c.known, e.App)
		return err
	case Record:
		if e.Kind == KindImpossible && !c.mayImpose {
			return fmt.Errorf("%s", c.w.describe(e))
		}
	}
	return nil
}

func (c *checker) startable(id ID) error {
	r := c.w.apps.Run(id)
	if c.w.apps.Stopping() {
		return fmt.Errorf("%s starts in a stop", c.w.name(id))
	}
	for _, n := range r.spec.Needs {
		d := c.w.apps.Listed(n.Name)
		switch {
		case d == nil:
			return fmt.Errorf("%s starts without %s", c.w.name(id), n.Name)
		case n.Exited && (!d.Ended() || d.code != 0 || d.Halted()):
			return fmt.Errorf("%s starts before %s has finished", c.w.name(id), n.Name)
		case !n.Exited && (!d.EverReady() || d.Ended() || d.Leaves()):
			return fmt.Errorf("%s starts before %s is ready", c.w.name(id), n.Name)
		}
	}
	return nil
}

func (c *checker) stoppable(id ID) error {
	if c.stops[id]++; c.stops[id] > 1 {
		return fmt.Errorf("%s is told to stop again", c.w.name(id))
	}
	r, s := c.w.apps.Run(id), c.w.apps
	if r.why == NotAtStart {
		return nil
	}
	needed := slices.ContainsFunc(s.Runs(), func(b *Run) bool {
		return b != r && b.Leaves() && !b.Ended() && !b.Waits() && b.spec.needs(r.Name())
	})
	under := slices.ContainsFunc(s.Runs(), func(b *Run) bool { return c.told[b.ID()] && !b.Ended() })
	if needed && under {
		return fmt.Errorf("%s is told to stop, and is needed by one that leaves", c.w.name(id))
	}
	return nil
}

// end is a second opinion about whether anything can run again.
func (c *checker) end() error {
	s := c.w.apps
	if s.phase == Unborn || s.adopting {
		return nil
	}
	lives := s.opening && !s.Stopping()
	for _, r := range s.runs {
		switch r.state {
		case Waiting, Running, Ending, Leaving, Stopping, Killing:
			lives = true
		case Blocked:
			lives = lives || r.next != 0
		case Later, Finished, Failed, Stopped:
			byItself := r.spec.OneShot && r.why == Stays && (r.clock != nil || r.watched)
			byOrder := r.state == Stopped || r.next != 0 || r.origin == FromOrder && r.code != 0
			lives = lives || !s.Stopping() && (byItself || byOrder)
			lives = lives || s.phase < KillingAll && !s.cut && (r.hooks.crash != idle || r.hooks.drain != idle)
		case Gone:
			lives = lives || !s.Stopping() && (r.next != 0 || r.origin == FromOrder && r.code != 0)
			lives = lives || s.phase < KillingAll && !s.cut && (r.hooks.crash != idle || r.hooks.drain != idle)
		default:
			return fmt.Errorf("run %d is %s", r.id, r.state)
		}
	}
	if lives == (s.phase == Over) {
		return fmt.Errorf("something lives: %v; over: %v", lives, s.phase == Over)
	}
	return nil
}
