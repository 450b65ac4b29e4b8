package estate

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/wake"
)

// The record is large, and a step changes one slot of one app. So a step appends what it has changed to the record as a patch,
// and the whole is written anew when the patches have become as long as it is, and a moment after the first patch: then a
// master of a version that knows no patches, or none of this kind, finds nearly all.
//
//	blob: all │ part of app 7: slot 3 │ app 3, which is new │ part of app 7: slot 4 │ app 9 is gone │ ...
//
// What a step costs does not depend on how many apps there are, nor on how many slots an app has. Of an app of which more has
// changed than slots and workers, all is written: see savedBase. Histograms are in the whole, and in what tells all of an app.

const (
	// leastPatches is what the patches may take in bytes, however small the whole is.
	leastPatches = 64 << 10
	// patchedFor bounds how long the whole lags behind.
	patchedFor = 2 * time.Second
)

func (e *Estate) kindOf(a *crew.App) crew.SavedKind {
	switch {
	case !a.Ended() && !a.Run.Waits():
		return crew.SavedRunning
	case a.Ended() && a.Run.Next() == 0 && e.loop.Listed(a.Name) == a:
		return crew.SavedAsEnded
	}
	return crew.NotSaved
}

func (e *Estate) baseOf(a *crew.App) crew.SavedBase {
	h := &a.History
	b := crew.SavedBase{
		Kind: e.kindOf(a), Place: a.Place, Sockets: a.Sockets.Key, EverReady: a.Run.EverReady(), Added: a.Run.Origin() != apps.FromStart,
		Leaving: a.Leaves(), Halted: a.Halted() && a.Run.Next() == 0, StartWith: a.StartWith, Replaces: e.replacedKey(a), NextRun: a.Run.NextRun(),
		LastRollout: h.LastRollout, RolloutReason: h.RolloutReason, Why: h.Err, LastGeneration: h.LastGeneration, Generations: len(a.Generations),
		Previous: a.Previous, BackTo: a.BackTo, PreviousUntil: a.PreviousUntil,
	}
	for i, kind := range journal.EndsOfRollouts {
		b.Rollouts[i] = h.Rollouts[kind]
	}
	for n, g := range a.Generations {
		is := crew.SavedGeneration{Number: n, Is: g, Resolved: g.Resolved.Load()}
		for i := range b.Newest {
			if is.Number >= b.Newest[i].Number {
				is, b.Newest[i] = b.Newest[i], is
			}
		}
	}
	return b
}

// changed has the next write tell all of an app. What an order does to an app is marked by it. Like those below, it also has the
// next picture have a new part for the app.
func (e *Estate) Changed(a *crew.App) {
	a.Saving.Dirty, a.Saving.All = true, true
	e.loop.Show(a)
}

// touched has the next write look at what has changed of an app.
func (e *Estate) Touched(a *crew.App) {
	a.Saving.Dirty = true
	e.loop.Show(a)
}

// TouchedWorker has the next write tell of a worker.
func (e *Estate) TouchedWorker(m *crew.Worker) {
	e.loop.Show(m.App)
	s := &m.App.Saving
	if s.Dirty = true; s.Members == nil {
		s.Members = map[pool.WorkerID]struct{}{}
	}
	s.Members[m.ID] = struct{}{}
}

// SaveAll writes the whole record.
func (e *Estate) SaveAll() { e.save(true) }

// SaveChanged writes what has changed. It precedes the orders of a step, so that no worker exists that the record does
// not know of.
func (e *Estate) SaveChanged() { e.save(false) }

func (e *Estate) save(whole bool) {
	k := e.kept
	if k == nil || k.record == nil {
		return
	}
	e.saveDue = false
	changed := e.unsaved()
	whole = whole || k.torn || k.record.Patched() > max(k.size, leastPatches)
	if whole {
		changed = e.loop.Apps()
	}
	for _, a := range changed {
		if !a.Ended() {
			e.storeSockets(a.Sockets)
		}
	}
	var err error
	if whole {
		err = e.writeWhole()
	} else {
		err = e.writePatch(changed)
	}
	k.torn = err != nil
	e.StoreFailed(succession.StateFile, err)
}

func (e *Estate) writeWhole() error {
	k := e.kept
	k.written, k.configWritten = map[int]bool{}, nil
	for _, a := range e.loop.Apps() {
		a.Saving.All = true
	}
	blob, err := json.Marshal(e.part(e.loop.Apps()).State)
	if err == nil {
		err = k.record.Write(blob)
	}
	k.size, k.wholeBy = len(blob), time.Time{}
	k.work.Writes, k.work.Bytes = k.work.Writes+1, k.work.Bytes+len(blob)
	return err
}

func (e *Estate) writePatch(changed []*crew.App) error {
	k := e.kept
	blob, err := json.Marshal(e.part(changed))
	if err == nil {
		err = k.record.Append(blob)
	}
	if k.wholeBy.IsZero() {
		k.wholeBy = time.Now().Add(patchedFor)
		e.loop.Rearm()
	}
	k.work.Writes, k.work.Bytes, k.work.Patched = k.work.Writes+1, k.work.Bytes+len(blob), k.work.Patched+len(blob)
	return err
}

// saveWholeInTime writes the whole a moment after the first patch.
func (e *Estate) saveWholeInTime(now time.Time) {
	if k := e.kept; k != nil && !k.wholeBy.IsZero() && !now.Before(k.wholeBy) {
		e.SaveAll()
	}
}

// nextSave is when it does; zero: there is no patch.
func (e *Estate) nextSave() time.Time {
	if e.kept == nil {
		return time.Time{}
	}
	return e.kept.wholeBy
}

// unsaved are the apps that the record does not have as they are. One that has moved among the others moves those after
// it too.
func (e *Estate) unsaved() (changed []*crew.App) {
	for i, a := range e.loop.Apps() {
		if a.Place != i {
			a.Place, a.Saving.Dirty = i, true
		}
		if a.Saving.Dirty {
			changed = append(changed, a)
		}
	}
	return changed
}

// part is the state with what has changed of those apps, and the keys of those that are in the record and not in the state.
func (e *Estate) part(changed []*crew.App) (p succession.Patch) {
	k := e.kept
	p.State = e.savedHead()
	if p.Config = e.savedConfig(); k.configWritten != nil && &k.configWritten[0] == &p.Config[0] {
		p.Config = nil
	} else {
		k.configWritten = p.Config
	}
	seen := map[*crew.Sockets]bool{}
	now := time.Now()
	for _, a := range changed {
		s := &a.Saving
		base := e.baseOf(a)
		all := s.All || base != s.Base || base.Generations > len(base.Newest)
		if base.Kind == crew.SavedRunning && !seen[a.Sockets] {
			seen[a.Sockets] = true
			if set, other := a.Sockets.UnsavedSet(all); other {
				p.Sockets = append(p.Sockets, succession.Sockets{Key: a.Sockets.Key, Set: set})
			}
		}
		if part, ok := e.partOf(a, now); !all && ok {
			p.Parts = append(p.Parts, part)
		} else {
			switch base.Kind {
			case crew.SavedRunning:
				p.Apps = append(p.Apps, e.savedApp(a, now))
			case crew.SavedAsEnded:
				p.Ended = append(p.Ended, e.savedEnded(a, now))
			}
		}
		a.Recorded = base.Kind != crew.NotSaved
		if a.Recorded {
			k.written[a.Key] = true
		}
		s.Dirty, s.All, s.Base = false, false, base
		clear(s.Members)
		clear(s.Slots)
	}
	p.Gone = e.noLongerRecorded()
	return p
}

// partOf is what has changed of the slots and workers of an app that runs; false: more has.
func (e *Estate) partOf(a *crew.App, now time.Time) (p succession.Part, ok bool) {
	if a.Saving.All || a.Saving.Base.Kind != crew.SavedRunning {
		return p, false
	}
	h := &a.History
	p = succession.Part{Key: a.Key, Restarts: h.Restarts, Crashes: h.Crashes, LastID: h.LastID}
	if p.Pool, ok = a.Pool.Changes(now); !ok {
		return p, false
	}
	for _, id := range slices.Sorted(maps.Keys(a.Saving.Members)) {
		if m := a.Members[id]; m != nil {
			p.Members = append(p.Members, m.Saved())
		} else {
			p.Gone = append(p.Gone, id)
		}
	}
	for n := range h.Changed {
		if p.Slots == nil {
			p.Slots = map[int]succession.SlotHistory{}
		}
		p.Slots[n] = crew.SavedSlotHistory(h.Slots[n])
	}
	clear(h.Changed)
	return p, true
}

// noLongerRecorded finds what the record has of apps that are gone, or wait.
func (e *Estate) noLongerRecorded() (gone []int) {
	recorded := 0
	for _, a := range e.loop.Apps() {
		if a.Recorded {
			recorded++
		}
	}
	if recorded == len(e.kept.written) {
		return nil
	}
	is := map[int]bool{}
	for _, a := range e.loop.Apps() {
		if a.Recorded {
			is[a.Key] = true
		}
	}
	for key := range e.kept.written {
		if !is[key] {
			gone = append(gone, key)
			delete(e.kept.written, key)
		}
	}
	return gone
}

// Work counts what was encoded for the record.
type Work struct {
	Writes  int // wholes and patches
	Bytes   int // of both
	Patched int // bytes of patches
}

// SaveSoon has the record written when the loop has no more messages.
func (e *Estate) SaveSoon() { e.saveDue = true }

// SaveAllSoon has the whole record written then.
func (e *Estate) SaveAllSoon() {
	e.saveDue = true
	if e.kept != nil {
		e.kept.torn = true
	}
}

// Deadline is when Tick has something to do; zero: at no time.
func (e *Estate) Deadline() time.Time {
	if e.kept == nil {
		return time.Time{}
	}
	return wake.Earliest(e.kept.wholeBy, e.kept.room.due)
}

// Tick does what is due.
func (e *Estate) Tick(now time.Time) {
	e.saveWholeInTime(now)
	e.askRoom(now)
}

// Work tells what was encoded for the record so far.
func (e *Estate) Work() Work { return e.kept.work }
