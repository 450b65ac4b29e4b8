package pool

import (
	"errors"
	"slices"
	"time"
)

// century bounds every duration of a record: more would overflow.
const century = 100 * 365 * 24 * time.Hour

// Restore returns a pool that goes on where another one was when its Snapshot was taken, that long ago. It waits for facts, and
// for Restored: see there. The wish for slots is that of the record; cfg.Workers counts for nothing here, and FirstID only as the
// least that the next worker gets.
//
// It fails with a record of a newer version, and with one that says what cannot be. The workers are then best replaced:
// see Adopted.
func Restore(cfg Config, saved Saved, now time.Time, ago time.Duration) (*Pool, error) {
	if err := saved.check(); err != nil {
		return nil, errors.New("cannot restore the pool: " + err.Error())
	}
	cfg = cfg.normal()
	next := max(saved.NextID, cfg.FirstID)
	cfg.FirstID, cfg.FirstGeneration = saved.FirstID, saved.FirstGeneration
	p := New(cfg)
	p.now, p.adopting = now, true
	p.phase = phase(slices.Index(phaseNames[:], saved.Phase))
	p.want, p.claimed = saved.Want, saved.Claimed
	p.nextID, p.generation, p.newest = next, saved.Generation, saved.Newest
	p.queued, p.queuedBack, p.served, p.code, p.why = saved.Queued, saved.QueuedBack, saved.Served, saved.Code, saved.Why
	p.last = Done{Code: saved.DoneCode, Reason: saved.DoneReason}
	p.rand = saved.Random
	at := moments{now: now, ago: min(max(ago, 0), century)}
	if saved.Hurried {
		p.endBy, p.killBy = at.future(saved.EndIn), at.future(saved.KillIn)
	}
	p.requests = saved.Requests.restored(at)
	if r := saved.Rollout; r != nil {
		p.rollout = rollout{generation: r.Generation, reason: r.Reason, began: at.past(r.BeganAgo), failure: r.Failure, back: r.Back}
	}
	for n, ss := range saved.Slots {
		p.slots = append(p.slots, p.restoreSlot(n, ss, at))
		if ss.Replacing != "" {
			p.focus.turns++
		}
	}
	p.standbys = p.restoreSlot(noSlot, saved.Standbys, at)
	for _, sw := range saved.Abandoned {
		s := &slot{number: sw.Slot} // its own may be closed by now
		switch {
		case sw.Slot == noSlot:
			s = p.standbys
		case sw.Slot < len(p.slots):
			s = p.slots[sw.Slot]
		}
		p.abandoned = append(p.abandoned, p.restoreWorker(s, sw, at))
	}
	return p, nil
}

func (p *Pool) restoreSlot(number int, saved SavedSlot, at moments) *slot {
	s := &slot{
		number: number, workers: make([]*worker, 0, 2), filled: saved.Filled, generation: saved.Generation,
		hasty: max(saved.Hasty, 0), finished: saved.Finished, held: saved.Held, replacing: saved.Replacing,
		sweep: sweep{done: saved.Swept, spawned: saved.Sweeps},
	}
	if saved.Failures > 0 {
		s.failures, s.failure, s.failedAt = saved.Failures, saved.Failure, at.past(saved.FailedAgo)
	}
	if saved.RetryIn > 0 {
		s.retryAt = at.future(saved.RetryIn)
	}
	for _, sw := range saved.Workers {
		w := p.restoreWorker(s, sw, at)
		s.workers = append(s.workers, w)
		if sw.Sweeping {
			s.sweep.by = w
		}
	}
	return s
}

func (p *Pool) restoreWorker(s *slot, saved SavedWorker, at moments) *worker {
	w := &worker{
		id: saved.ID, slot: s, generation: saved.Generation, pid: saved.PID, state: saved.State,
		ordered: at.past(saved.OrderedAgo), since: at.past(saved.SinceAgo), share: saved.AgeShare,
		assigned: saved.Assigned, renewed: saved.Renewed,
		stall: saved.Stalled, dump: saved.Dump, dumped: saved.Dumped, recycle: saved.Recycle,
		owed: signal(saved.Owed), sent: signal(saved.Sent), why: saved.Why,
	}
	if saved.State.timed() {
		w.due = at.future(saved.DueIn)
	}
	if saved.WasReady {
		w.readyAt = at.past(saved.ReadyAgo)
	}
	if saved.Stalled != "" {
		w.stalledAt = at.past(saved.StalledAgo)
	}
	if d := saved.Told; d != nil {
		w.told = &Drain{ID: w.id, Slot: s.number, Reason: d.Reason, Handover: d.Handover, Linger: d.Linger, Delay: max(d.Delay, 0)}
	}
	p.workers[w.id] = w
	return w
}

// moments turns durations from the snapshot into times.
type moments struct {
	now time.Time
	ago time.Duration // that the snapshot was taken
}

// past never is to come, though the clock may have gone back.
func (m moments) past(d time.Duration) time.Time {
	return m.now.Add(-m.ago - min(max(d, 0), century))
}

func (m moments) future(d time.Duration) time.Time {
	return m.now.Add(min(max(d, -century), century) - m.ago)
}
