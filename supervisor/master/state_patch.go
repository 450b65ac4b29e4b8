package master

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

func (l *loop) kindOf(a *crew.App) crew.SavedKind {
	switch {
	case !a.Ended() && !a.Run.Waits():
		return crew.SavedRunning
	case a.Ended() && a.Run.Next() == 0 && l.listed(a.Name) == a:
		return crew.SavedAsEnded
	}
	return crew.NotSaved
}

func (l *loop) baseOf(a *crew.App) crew.SavedBase {
	h := &a.History
	b := crew.SavedBase{
		Kind: l.kindOf(a), Place: a.Place, Sockets: a.Sockets.Key, EverReady: a.Run.EverReady(), Added: a.Run.Origin() != apps.FromStart,
		Leaving: a.Leaves(), Halted: a.Halted() && a.Run.Next() == 0, StartWith: a.StartWith, Replaces: l.replacedKey(a), NextRun: a.Run.NextRun(),
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
func (l *loop) changed(a *crew.App) {
	a.Saving.Dirty, a.Saving.All = true, true
	l.show(a)
}

// touched has the next write look at what has changed of an app.
func (l *loop) touched(a *crew.App) {
	a.Saving.Dirty = true
	l.show(a)
}

// touchedWorker has the next write tell of a worker.
func (l *loop) touchedWorker(m *crew.Worker) {
	l.show(m.App)
	s := &m.App.Saving
	if s.Dirty = true; s.Members == nil {
		s.Members = map[pool.WorkerID]struct{}{}
	}
	s.Members[m.ID] = struct{}{}
}

// saveState writes the whole record.
func (l *loop) saveState() { l.save(true) }

// saveChanged writes what has changed. It precedes the orders of a step, so that no worker exists that the record does
// not know of.
func (l *loop) saveChanged() { l.save(false) }

func (l *loop) save(whole bool) {
	k := l.kept
	if k == nil || k.record == nil {
		return
	}
	l.saveDue = false
	changed := l.unsaved()
	whole = whole || k.torn || k.record.Patched() > max(k.size, leastPatches)
	if whole {
		changed = l.apps
	}
	for _, a := range changed {
		if !a.Ended() {
			l.keepSockets(a.Sockets)
		}
	}
	var err error
	if whole {
		err = l.writeWhole()
	} else {
		err = l.writePatch(changed)
	}
	k.torn = err != nil
	l.keepFailed(succession.StateFile, err)
}

func (l *loop) writeWhole() error {
	k := l.kept
	k.written, k.configWritten = map[int]bool{}, nil
	for _, a := range l.apps {
		a.Saving.All = true
	}
	blob, err := json.Marshal(l.part(l.apps).State)
	if err == nil {
		err = k.record.Write(blob)
	}
	k.size, k.wholeBy = len(blob), time.Time{}
	k.work.whole(len(blob))
	return err
}

func (l *loop) writePatch(changed []*crew.App) error {
	k := l.kept
	blob, err := json.Marshal(l.part(changed))
	if err == nil {
		err = k.record.Append(blob)
	}
	if k.wholeBy.IsZero() {
		k.wholeBy, l.timerStale = time.Now().Add(patchedFor), true
	}
	k.work.patch(len(blob))
	return err
}

// saveWholeInTime writes the whole a moment after the first patch.
func (l *loop) saveWholeInTime(now time.Time) {
	if k := l.kept; k != nil && !k.wholeBy.IsZero() && !now.Before(k.wholeBy) {
		l.saveState()
	}
}

// nextSave is when it does; zero: there is no patch.
func (l *loop) nextSave() time.Time {
	if l.kept == nil {
		return time.Time{}
	}
	return l.kept.wholeBy
}

// unsaved are the apps that the record does not have as they are. One that has moved among the others moves those after
// it too.
func (l *loop) unsaved() (changed []*crew.App) {
	for i, a := range l.apps {
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
func (l *loop) part(changed []*crew.App) (p succession.Patch) {
	k := l.kept
	p.State = l.savedHead()
	if p.Config = l.savedConfig(); k.configWritten != nil && &k.configWritten[0] == &p.Config[0] {
		p.Config = nil
	} else {
		k.configWritten = p.Config
	}
	seen := map[*crew.Sockets]bool{}
	now := time.Now()
	for _, a := range changed {
		s := &a.Saving
		base := l.baseOf(a)
		all := s.All || base != s.Base || base.Generations > len(base.Newest)
		if base.Kind == crew.SavedRunning && !seen[a.Sockets] {
			seen[a.Sockets] = true
			if set, other := a.Sockets.UnsavedSet(all); other {
				p.Sockets = append(p.Sockets, succession.Sockets{Key: a.Sockets.Key, Set: set})
			}
		}
		if part, ok := l.partOf(a, now); !all && ok {
			p.Parts = append(p.Parts, part)
		} else {
			switch base.Kind {
			case crew.SavedRunning:
				p.Apps = append(p.Apps, l.savedApp(a, now))
			case crew.SavedAsEnded:
				p.Ended = append(p.Ended, l.savedEnded(a, now))
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
	p.Gone = l.noLongerRecorded()
	return p
}

// partOf is what has changed of the slots and workers of an app that runs; false: more has.
func (l *loop) partOf(a *crew.App, now time.Time) (p succession.Part, ok bool) {
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
func (l *loop) noLongerRecorded() (gone []int) {
	recorded := 0
	for _, a := range l.apps {
		if a.Recorded {
			recorded++
		}
	}
	if recorded == len(l.kept.written) {
		return nil
	}
	is := map[int]bool{}
	for _, a := range l.apps {
		if a.Recorded {
			is[a.Key] = true
		}
	}
	for key := range l.kept.written {
		if !is[key] {
			gone = append(gone, key)
			delete(l.kept.written, key)
		}
	}
	return gone
}

// workOfSaving counts what was encoded for the record: the largest patch, patches and wholes.
type workOfSaving struct{ writes, bytes, patches, patched, largest int }

func (w *workOfSaving) whole(n int) { w.writes, w.bytes = w.writes+1, w.bytes+n }

func (w *workOfSaving) patch(n int) {
	w.whole(n)
	w.patches, w.patched, w.largest = w.patches+1, w.patched+n, max(w.largest, n)
}
