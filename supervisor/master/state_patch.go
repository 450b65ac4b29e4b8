package master

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
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

// saving is what the loop knows of what the record has of an app.
type saving struct {
	dirty   bool // something may be others than the record has it
	all     bool // and it is known to be more than slots and workers
	base    savedBase
	members map[pool.WorkerID]struct{} // are new, or others, or gone
	slots   map[int]struct{}           // have another history
}

// savedBase is what no part of an app tells, as far as that is not the pool's. It is compared, so that nothing is encoded to see
// that it is the same.
type savedBase struct {
	kind                        savedKind
	place, sockets              int
	everReady, added, leaving   bool
	halted                      bool
	startWith, replaces         int
	nextRun                     time.Time
	lastRollout                 *control.Rollout
	rolloutReason, why          string
	lastGeneration, generations int
	rollouts                    [len(journal.EndsOfRollouts)]uint64
	previous, backTo            *launch.Generation
	previousUntil               time.Time
	newest                      [3]savedGeneration // that workers are of, or will be
}

// savedGeneration tells a generation from another, and from itself before it was resolved.
type savedGeneration struct {
	number   int
	is       *launch.Generation
	resolved *launch.Recipe
}

// savedKind is how an app is in the record.
type savedKind uint8

const (
	notSaved savedKind = iota // there is nothing to adopt
	savedRunning
	savedAsEnded
)

func (l *loop) kindOf(a *app) savedKind {
	switch {
	case !a.ended() && !a.run.Waits():
		return savedRunning
	case a.ended() && a.run.Next() == 0 && l.listed(a.name) == a:
		return savedAsEnded
	}
	return notSaved
}

func (l *loop) baseOf(a *app) savedBase {
	h := &a.history
	b := savedBase{
		kind: l.kindOf(a), place: a.place, sockets: a.sockets.key, everReady: a.run.EverReady(), added: a.run.Origin() != apps.FromStart,
		leaving: a.leaves(), halted: a.halted() && a.run.Next() == 0, startWith: a.startWith, replaces: l.replacedKey(a), nextRun: a.run.NextRun(),
		lastRollout: h.LastRollout, rolloutReason: h.RolloutReason, why: h.Err, lastGeneration: h.LastGeneration, generations: len(a.generations),
		previous: a.previous, backTo: a.backTo, previousUntil: a.previousUntil,
	}
	for i, kind := range journal.EndsOfRollouts {
		b.rollouts[i] = h.Rollouts[kind]
	}
	for n, g := range a.generations {
		is := savedGeneration{n, g, g.Resolved.Load()}
		for i := range b.newest {
			if is.number >= b.newest[i].number {
				is, b.newest[i] = b.newest[i], is
			}
		}
	}
	return b
}

// changed has the next write tell all of an app. What an order does to an app is marked by it. Like those below, it also has the
// next picture have a new part for the app.
func (l *loop) changed(a *app) {
	a.saving.dirty, a.saving.all = true, true
	l.show(a)
}

// touched has the next write look at what has changed of an app.
func (l *loop) touched(a *app) {
	a.saving.dirty = true
	l.show(a)
}

// touchedWorker has the next write tell of a worker.
func (l *loop) touchedWorker(m *member) {
	l.show(m.app)
	s := &m.app.saving
	if s.dirty = true; s.members == nil {
		s.members = map[pool.WorkerID]struct{}{}
	}
	s.members[m.id] = struct{}{}
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
		if !a.ended() {
			l.keepSockets(a.sockets)
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
		a.saving.all = true
	}
	blob, err := json.Marshal(l.part(l.apps).State)
	if err == nil {
		err = k.record.Write(blob)
	}
	k.size, k.wholeBy = len(blob), time.Time{}
	k.work.whole(len(blob))
	return err
}

func (l *loop) writePatch(changed []*app) error {
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
func (l *loop) unsaved() (changed []*app) {
	for i, a := range l.apps {
		if a.place != i {
			a.place, a.saving.dirty = i, true
		}
		if a.saving.dirty {
			changed = append(changed, a)
		}
	}
	return changed
}

// part is the state with what has changed of those apps, and the keys of those that are in the record and not in the state.
func (l *loop) part(changed []*app) (p succession.Patch) {
	k := l.kept
	p.State = l.savedHead()
	if p.Config = l.savedConfig(); k.configWritten != nil && &k.configWritten[0] == &p.Config[0] {
		p.Config = nil
	} else {
		k.configWritten = p.Config
	}
	seen := map[*sockets]bool{}
	now := time.Now()
	for _, a := range changed {
		s := &a.saving
		base := l.baseOf(a)
		all := s.all || base != s.base || base.generations > len(base.newest)
		if base.kind == savedRunning && !seen[a.sockets] {
			seen[a.sockets] = true
			if set, other := a.sockets.unsavedSet(all); other {
				p.Sockets = append(p.Sockets, succession.Sockets{Key: a.sockets.key, Set: set})
			}
		}
		if part, ok := l.partOf(a, now); !all && ok {
			p.Parts = append(p.Parts, part)
		} else {
			switch base.kind {
			case savedRunning:
				p.Apps = append(p.Apps, l.savedApp(a, now))
			case savedAsEnded:
				p.Ended = append(p.Ended, l.savedEnded(a, now))
			}
		}
		a.recorded = base.kind != notSaved
		if a.recorded {
			k.written[a.key] = true
		}
		s.dirty, s.all, s.base = false, false, base
		clear(s.members)
		clear(s.slots)
	}
	p.Gone = l.noLongerRecorded()
	return p
}

// partOf is what has changed of the slots and workers of an app that runs; false: more has.
func (l *loop) partOf(a *app, now time.Time) (p succession.Part, ok bool) {
	if a.saving.all || a.saving.base.kind != savedRunning {
		return p, false
	}
	h := &a.history
	p = succession.Part{Key: a.key, Restarts: h.Restarts, Crashes: h.Crashes, LastID: h.LastID}
	if p.Pool, ok = a.pool.Changes(now); !ok {
		return p, false
	}
	for _, id := range slices.Sorted(maps.Keys(a.saving.members)) {
		if m := a.members[id]; m != nil {
			p.Members = append(p.Members, m.saved())
		} else {
			p.Gone = append(p.Gone, id)
		}
	}
	for n := range h.Changed {
		if p.Slots == nil {
			p.Slots = map[int]succession.SlotHistory{}
		}
		p.Slots[n] = savedSlotHistory(h.Slots[n])
	}
	clear(h.Changed)
	return p, true
}

// unsavedSet is what the record is to have of the sockets; other: it is not what it has, or all is to be written.
func (s *sockets) unsavedSet(all bool) (set listen.Saved, other bool) {
	set = s.Save()
	if !all && s.saved != nil && slices.Equal(set.Admitted, s.saved.Admitted) {
		a, b := set, *s.saved
		a.Admitted, b.Admitted = nil, nil
		if reflect.DeepEqual(a, b) {
			return set, false
		}
	}
	s.saved = &set
	return set, true
}

// noLongerRecorded finds what the record has of apps that are gone, or wait.
func (l *loop) noLongerRecorded() (gone []int) {
	recorded := 0
	for _, a := range l.apps {
		if a.recorded {
			recorded++
		}
	}
	if recorded == len(l.kept.written) {
		return nil
	}
	is := map[int]bool{}
	for _, a := range l.apps {
		if a.recorded {
			is[a.key] = true
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
