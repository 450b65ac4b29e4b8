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
