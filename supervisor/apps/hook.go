package apps

import (
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// maxCrashes bounds the crashes of a run that wait for their hook.
const maxCrashes = 16

// gate is where a hook of one run is. At most one of each kind runs at a time.
type gate uint8

const (
	idle  gate = iota
	busy       // the hook runs
	again      // it runs, and is due once more: after_ready alone
)

// hookTime is whether a run may have hooks.
type hookTime uint8

const (
	closed    hookTime = iota // it was never started
	open                      // all of them
	cancelled                 // those that do not belong to a life that goes on
)

// hooks are the gates of one run. What comes while a gate is busy:
//
//	after_ready   at most one run more follows, for the newest generation
//	before_drain  all workers that are to drain meanwhile wait, and share the next run
//	on_crash      up to maxCrashes wait; what comes while so many do is counted as missed, and said
type hooks struct {
	time                hookTime
	ready, drain, crash gate

	readyGeneration int // that after_ready was run for last

	crashes []Crash
	missed  int

	waiting []*heldDrain // for the next run
	inRun   []*heldDrain // for the one under way
}

// heldDrain is a drain that waits for the hook before_drain.
type heldDrain struct {
	Held
	since, until time.Time
}

func (h *hooks) opened() bool { return h.time != closed }

// busy says whether something runs that is waited for after the end of the run: what tells of a crash, most of all.
func (h *hooks) busy() bool { return h.crash != idle || h.drain != idle }

func (h *hooks) held(id pool.WorkerID) *heldDrain {
	for _, all := range [][]*heldDrain{h.waiting, h.inRun} {
		if i := slices.IndexFunc(all, func(d *heldDrain) bool { return d.Drain.ID == id }); i >= 0 {
			return all[i]
		}
	}
	return nil
}

// quiet says whether nothing of the hooks is under way or waits.
func (h *hooks) quiet() bool {
	return h.ready == idle && h.drain == idle && h.crash == idle && len(h.crashes) == 0 && len(h.waiting) == 0
}

// drop takes a held drain out.
func (h *hooks) drop(id pool.WorkerID) {
	is := func(d *heldDrain) bool { return d.Drain.ID == id }
	h.waiting, h.inRun = slices.DeleteFunc(h.waiting, is), slices.DeleteFunc(h.inRun, is)
}

// hooksOf takes in what a step of the pool means for the hooks of its run.
func (s *Apps) hooksOf(r *Run, ev Stepped) {
	h := &r.hooks
	if h.opened() {
		for _, c := range ev.Crashes {
			s.crashed(r, c)
		}
	}
	if ev.Moved {
		s.afterReady(r)
	}
	for _, id := range ev.Told {
		h.drop(id)
	}
	for _, d := range ev.Held {
		most := r.Holds(d.Drain)
		if most == 0 {
			s.emit(Release{r.id, d.Drain})
			continue
		}
		h.waiting = append(h.waiting, &heldDrain{Held: d, since: s.now, until: s.now.Add(most)})
		s.unsettled = true
	}
}

// afterReady runs the hook once for each generation that all workers are ready of: for the start, and for each rollout that is
// done.
func (s *Apps) afterReady(r *Run) {
	h := &r.hooks
	if !r.spec.Hooks.AfterReady || h.time != open || r.facts.Generation == h.readyGeneration || r.facts.Rolling || !r.facts.AllReady {
		return
	}
	if h.ready != idle {
		h.ready = again
		return
	}
	h.ready, h.readyGeneration = busy, r.facts.Generation
	s.emit(RunHook{App: r.id, Hook: AfterReady, Generation: r.facts.Generation})
}

func (s *Apps) crashed(r *Run, c Crash) {
	h := &r.hooks
	switch {
	case !r.spec.Hooks.OnCrash:
	case len(h.crashes) >= maxCrashes:
		h.missed++
	default:
		h.crashes = append(h.crashes, c)
		s.nextCrash(r)
	}
}

func (s *Apps) nextCrash(r *Run) {
	h := &r.hooks
	if s.Stopping() && s.asked {
		h.crashes = nil // a person's stop waits for the one that runs, and no more
	}
	if h.crash != idle || len(h.crashes) == 0 {
		return
	}
	if h.missed > 0 {
		s.emit(Record{Kind: KindMissed, App: r.id, Count: h.missed})
		h.missed = 0
	}
	c := h.crashes[0]
	h.crashes, h.crash = slices.Delete(h.crashes, 0, 1), busy
	s.emit(RunHook{App: r.id, Hook: OnCrash, Generation: c.Generation, Workers: []HookWorker{{c.Worker, c.Slot, c.PID}}, Code: c.Code, Signal: c.Signal})
}

// runDrainHooks starts the hook for all drains that came together.
func (s *Apps) runDrainHooks() {
	for _, r := range s.runs {
		h := &r.hooks
		if len(h.waiting) == 0 || h.drain != idle {
			continue
		}
		run := RunHook{App: r.id, Hook: BeforeDrain, Generation: h.waiting[0].Generation}
		for _, d := range h.waiting {
			run.Workers = append(run.Workers, HookWorker{d.Drain.ID, d.Drain.Slot, d.PID})
		}
		h.inRun, h.waiting, h.drain = h.waiting, nil, busy
		s.emit(run)
	}
}

func (s *Apps) hookEnded(r *Run, ev HookEnded) {
	h := &r.hooks
	gates := [...]*gate{AfterReady: &h.ready, BeforeDrain: &h.drain, OnCrash: &h.crash}
	if int(ev.Hook) >= len(gates) || *gates[ev.Hook] == idle {
		s.impossible(r, "hook ended: none runs")
		return
	}
	was := *gates[ev.Hook]
	*gates[ev.Hook], s.unsettled = idle, true
	switch ev.Hook {
	case AfterReady:
		if was == again {
			s.afterReady(r)
		}
	case OnCrash:
		s.nextCrash(r)
	case BeforeDrain:
		for _, d := range h.inRun {
			s.release(r, d)
		}
		h.inRun = nil
	}
	s.forget(r)
}

// release tells a worker to drain in the time that it still has.
func (s *Apps) release(r *Run, d *heldDrain) {
	drain := d.Drain
	drain.Timeout = max(drain.Timeout-s.now.Sub(d.since), time.Millisecond)
	s.emit(Release{r.id, drain})
}

// releaseInTime releases the drains that have waited for their hook as long as they may.
func (s *Apps) releaseInTime(r *Run) {
	h := &r.hooks
	late := func(d *heldDrain) bool {
		if s.now.Before(d.until) {
			return false
		}
		s.release(r, d)
		return true
	}
	h.inRun, h.waiting = slices.DeleteFunc(h.inRun, late), slices.DeleteFunc(h.waiting, late)
}

// cancelHooks ends those that only make sense while the run goes on.
func (s *Apps) cancelHooks(r *Run) {
	if r.hooks.time == open {
		r.hooks.time = cancelled
		s.emit(CancelHooks{r.id})
	}
}
