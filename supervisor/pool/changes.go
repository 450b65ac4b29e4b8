package pool

import (
	"errors"
	"strconv"
	"time"
)

// SavedPart is what has changed of a pool since its Snapshot: the slots that are others now, and what always may be. It is
// small however many slots there are.
type SavedPart struct {
	NextID    WorkerID          `json:"next_id"`
	Random    uint64            `json:"random"`
	Slots     map[int]SavedSlot `json:"slots,omitempty"` // by number
	Standbys  SavedSlot         `json:"bench"`
	Abandoned []SavedWorker     `json:"abandoned,omitempty"`
}

// changes is what the pool knows of its last Snapshot.
type changes struct {
	head  savedHead
	slots []*slot // others since then
}

// savedHead is what no SavedPart tells.
type savedHead struct {
	shared          shared
	slots, newest   int
	firstID         WorkerID
	firstGeneration int
	queued, why     string
	queuedBack      bool
	code            int
	endBy, killBy   time.Time
	last            Done
	requests        requests
}

func (p *Pool) head() savedHead {
	return savedHead{
		shared: p.sharedNow(), slots: len(p.slots), newest: p.newest, firstID: p.cfg.FirstID, firstGeneration: p.cfg.FirstGeneration,
		queued: p.queued, why: p.why, queuedBack: p.queuedBack, code: p.code, endBy: p.endBy, killBy: p.killBy, last: p.last, requests: p.requests,
	}
}

// slotMark is all of a slot that is saved, to see whether it has changed. A slot has at most two workers.
type slotMark struct {
	filled, finished, swept     bool
	generation, failures, hasty int
	sweeps                      int
	failure, held, replacing    string
	failedAt, retryAt           time.Time
	sweeper                     *worker
	workers                     [2]worker
	told                        [2]Drain
}

func (s *slot) mark() (m slotMark) {
	m = slotMark{
		filled: s.filled, finished: s.finished, swept: s.sweep.done, generation: s.generation, failures: s.failures, hasty: s.hasty,
		sweeps: s.sweep.spawned, failure: s.failure, held: s.held, replacing: s.replacing, failedAt: s.failedAt, retryAt: s.retryAt,
		sweeper: s.sweep.by,
	}
	for i, w := range s.workers[:min(len(s.workers), len(m.workers))] {
		m.workers[i] = *w
		if w.told != nil {
			m.told[i] = *w.told
		}
	}
	return m
}

// noteChange has Changes tell of a slot that is another than when it was looked at last.
func (p *Pool) noteChange(s *slot) {
	m := s.mark()
	if m == s.kept {
		return
	}
	s.kept = m
	if !s.unsaved {
		s.unsaved = true
		p.changes.slots = append(p.changes.slots, s)
	}
}

// Changes returns what has changed since Snapshot or Changes was called last. ok is false if that is more than a part can
// tell: then a Snapshot is due.
func (p *Pool) Changes(now time.Time) (part SavedPart, ok bool) {
	if p.adopting || p.head() != p.changes.head {
		return part, false
	}
	part = SavedPart{NextID: p.nextID, Random: p.rand}
	var room []SavedWorker
	for _, s := range p.changes.slots {
		s.unsaved = false
		if !p.has(s) {
			continue
		}
		if part.Slots == nil {
			part.Slots = map[int]SavedSlot{}
		}
		part.Slots[s.number] = s.saved(now, &room)
	}
	p.changes.slots = p.changes.slots[:0]
	part.Standbys = p.standbys.saved(now, &room)
	part.Abandoned = p.savedAbandoned(now)
	return part, true
}

// saved notes that a Snapshot has all.
func (c *changes) saved(head savedHead) {
	for _, s := range c.slots {
		s.unsaved = false
	}
	clear(c.slots)
	c.head, c.slots = head, c.slots[:0]
}

// Age makes saved what it is for a reader that takes it to be as of d later.
func (saved *Saved) Age(d time.Duration) {
	for i := range saved.Slots {
		saved.Slots[i].age(d)
	}
	saved.Standbys.age(d)
	ageWorkers(saved.Abandoned, d)
	if saved.Hurried {
		saved.EndIn, saved.KillIn = saved.EndIn-d, saved.KillIn-d
	}
	if saved.Rollout != nil {
		saved.Rollout.BeganAgo += d
	}
	if r := saved.Requests; r != nil {
		r.SinceAgo += d
		if r.Bounded {
			r.UntilIn -= d
		}
	}
}

func (s *SavedSlot) age(d time.Duration) {
	ageWorkers(s.Workers, d)
	if s.Failures > 0 {
		s.FailedAgo += d
	}
	s.RetryIn = max(s.RetryIn-d, 0)
}

func ageWorkers(all []SavedWorker, d time.Duration) {
	for i := range all {
		w := &all[i]
		w.OrderedAgo, w.SinceAgo = w.OrderedAgo+d, w.SinceAgo+d
		if w.State.timed() {
			w.DueIn -= d
		}
		if w.WasReady {
			w.ReadyAgo += d
		}
		if w.Stalled != "" {
			w.StalledAgo += d
		}
	}
}

// Take puts into a record what has changed since then. The part is as of the same moment: see Age. It fails if the record
// is not the one that the part belongs to.
func (saved *Saved) Take(part SavedPart) error {
	for n := range part.Slots {
		if n < 0 || n >= len(saved.Slots) {
			return errors.New("the record has " + strconv.Itoa(len(saved.Slots)) + " slots, and slot " + strconv.Itoa(n) + " has changed")
		}
	}
	for n, s := range part.Slots {
		saved.Slots[n] = s
	}
	saved.NextID, saved.Random, saved.Standbys, saved.Abandoned = part.NextID, part.Random, part.Standbys, part.Abandoned
	return nil
}
