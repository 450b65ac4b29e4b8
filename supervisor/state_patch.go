package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/record"
)

// The record of many apps is large, and a step changes one of them. So a step appends what it has changed to the record
// as a patch, and the whole is written anew when the patches have become as long as it is, and a moment after the first
// patch: then an older master, which knows no patches, finds nearly all, and so does one after a change that nobody has
// marked with changed.
//
//	blob: all │ patch: app 7 │ patch: app 3 │ patch: app 7, app 9 is gone │ ...
//
// What a step costs does not depend on how many apps there are.

const (
	// leastPatches is what the patches may take in bytes, however small the whole is.
	leastPatches = 64 << 10
	// patchedFor bounds how long the whole lags behind.
	patchedFor = 2 * time.Second
)

// savedPatch is what has changed since the whole was written, or the patch before: apps, sockets and the config are
// there if they are new or others than before, the rest always.
type savedPatch struct {
	savedState
	Gone []int `json:"gone,omitempty"` // keys of apps that the record has no more
}

// changed has the next write tell of an app. Whatever a step or an order does to an app is
// marked by them.
func (l *loop) changed(a *app) { a.unsaved = true }

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
	l.keepFailed(keptState, err)
}

func (l *loop) writeWhole() error {
	k := l.kept
	k.written, k.configWritten = map[int]bool{}, nil
	blob, err := json.Marshal(l.part(l.apps).savedState)
	if err == nil {
		err = k.record.Write(blob)
	}
	k.size, k.wholeBy = len(blob), time.Time{}
	k.work.add(len(blob))
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
	k.work.add(len(blob))
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
			a.place, a.unsaved = i, true
		}
		if a.unsaved {
			changed = append(changed, a)
		}
	}
	return changed
}

// part is the state with those apps only, and the keys of those that are in the record and not in the state.
func (l *loop) part(apps []*app) (p savedPatch) {
	k := l.kept
	p.savedState = l.savedHead()
	if p.Config = l.savedConfig(); k.configWritten != nil && &k.configWritten[0] == &p.Config[0] {
		p.Config = nil
	} else {
		k.configWritten = p.Config
	}
	seen := map[*sockets]bool{}
	now := time.Now()
	for _, a := range apps {
		a.unsaved = false
		switch {
		case !a.ended() && !a.run.Waits():
			if !seen[a.sockets] {
				seen[a.sockets] = true
				p.Sockets = append(p.Sockets, savedSockets{a.sockets.key, a.sockets.Save()})
			}
			p.Apps = append(p.Apps, l.savedApp(a, now))
			a.recorded = true
		case a.ended() && a.run.Next() == 0 && l.listed(a.name) == a:
			p.Ended = append(p.Ended, l.savedEnded(a, now))
			a.recorded = true
		default:
			a.recorded = false // there is nothing to adopt
		}
		if a.recorded {
			k.written[a.key] = true
		}
	}
	p.Gone = l.noLongerRecorded()
	return p
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

// workOfSaving counts what was encoded for the record: of the last write and of all.
type workOfSaving struct{ writes, bytes, last int }

func (w *workOfSaving) add(n int) { w.writes, w.bytes, w.last = w.writes+1, w.bytes+n, n }

// readRecord is the state as the record has it, with its patches.
func readRecord(r *record.Record) (savedState, error) {
	blob, patches, err := r.ReadAll()
	if err != nil {
		return savedState{}, err
	}
	return readPatched(blob, patches)
}

func readPatched(blob []byte, patches [][]byte) (s savedState, err error) {
	if s, err = readState(blob); err != nil || len(patches) == 0 {
		return s, err
	}
	apps, ended, all := map[int]savedApp{}, map[int]savedEnded{}, map[int]savedSockets{}
	take := func(p savedPatch) {
		for _, key := range p.Gone {
			delete(apps, key)
			delete(ended, key)
		}
		for _, a := range p.Apps {
			delete(ended, a.Key)
			apps[a.Key] = a
		}
		for _, e := range p.Ended {
			delete(apps, e.Key)
			ended[e.Key] = e
		}
		for _, set := range p.Sockets {
			all[set.Key] = set
		}
	}
	take(savedPatch{savedState: s})
	for i, patch := range patches {
		var p savedPatch
		if err = json.Unmarshal(patch, &p); err != nil {
			return s, fmt.Errorf("cannot read patch %d of the record of the last master: %w", i, err)
		}
		p.dated()
		take(p)
		if p.Config == nil {
			p.Config = s.Config
		}
		s = p.savedState
	}
	s.Apps = slices.SortedFunc(maps.Values(apps), func(a, b savedApp) int { return cmp.Compare(a.Place, b.Place) })
	s.Ended = slices.SortedFunc(maps.Values(ended), func(a, b savedEnded) int { return cmp.Compare(a.Place, b.Place) })
	s.Sockets = nil
	used := map[int]bool{}
	for _, a := range s.Apps {
		if set, ok := all[a.Sockets]; ok && !used[a.Sockets] {
			used[a.Sockets] = true
			s.Sockets = append(s.Sockets, set)
		}
	}
	return s, nil
}

// dated notes for each app of when it is: those of the whole and of each patch are of different times.
func (s *savedState) dated() {
	for i := range s.Apps {
		s.Apps[i].at = cmp.Or(s.Apps[i].at, s.At)
	}
	for i := range s.Ended {
		s.Ended[i].at = cmp.Or(s.Ended[i].at, s.At)
	}
}
