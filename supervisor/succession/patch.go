package succession

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/record"
)

// Patch is what has changed since the whole was written, or the patch before: apps, sockets and the config are there if they
// are new or others than before, the rest always.
//
// A master of a version that knows no parts takes an app to be as the whole or the last patch with all of it has it, which is
// at most two seconds old: its workers are found by what they are, not by what the record says of them.
type Patch struct {
	State
	Gone  []int  `json:"gone,omitempty"`  // keys of apps that the record has no more
	Parts []Part `json:"parts,omitempty"` // of apps that are there already
}

// Part is what has changed of one app in the slots and workers that it is about. Its size does not depend on how many the app has.
type Part struct {
	Key      int                 `json:"key"` // of the app
	Pool     pool.SavedPart      `json:"pool"`
	Members  []Member            `json:"members,omitempty"` // that are new, or others than before
	Gone     []pool.WorkerID     `json:"gone,omitempty"`    // members that are no more
	Restarts uint64              `json:"restarts,omitempty"`
	Crashes  uint64              `json:"crashes,omitempty"`
	LastID   pool.WorkerID       `json:"last_id,omitempty"`
	Slots    map[int]SlotHistory `json:"slots,omitempty"` // that are others than before
}

// take puts a part of a moment into the app that it belongs to.
func (a *App) take(p Part, at int64) error {
	a.Pool.Age(time.Duration(max(at-a.At, 0)))
	a.At = at
	if err := a.Pool.Take(p.Pool); err != nil {
		return fmt.Errorf("app %s: %w", a.Config.Name, err)
	}
	byID := func(m Member, id pool.WorkerID) int { return cmp.Compare(m.ID, id) }
	for _, m := range p.Members {
		if i, found := slices.BinarySearchFunc(a.Members, m.ID, byID); found {
			a.Members[i] = m
		} else {
			a.Members = slices.Insert(a.Members, i, m)
		}
	}
	for _, id := range p.Gone {
		if i, found := slices.BinarySearchFunc(a.Members, id, byID); found {
			a.Members = slices.Delete(a.Members, i, i+1)
		}
	}
	h := &a.History
	h.Restarts, h.Crashes, h.LastID = p.Restarts, p.Crashes, p.LastID
	for _, n := range slices.Sorted(maps.Keys(p.Slots)) {
		if n < 0 || n >= pool.MaxSlots {
			return fmt.Errorf("app %s: history of slot %d, there are at most %d", a.Config.Name, n, pool.MaxSlots)
		}
		for len(h.Slots) <= n {
			h.Slots = append(h.Slots, SlotHistory{})
		}
		h.Slots[n] = p.Slots[n]
	}
	return nil
}

// Read returns the state as the record has it, with its patches.
func Read(r *record.Record) (State, error) {
	blob, patches, err := r.ReadAll()
	if err != nil {
		return State{}, err
	}
	return Decode(blob, patches)
}

// Decode returns the state of a whole and its patches, in the order in which they were written. What they say may be
// anything: what cannot be is an error here or of [pool.Restore].
func Decode(blob []byte, patches [][]byte) (s State, err error) {
	if s, err = readState(blob); err != nil || len(patches) == 0 {
		return s, err
	}
	apps, ended, all := map[int]App{}, map[int]Ended{}, map[int]Sockets{}
	take := func(p Patch) error {
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
		for _, part := range p.Parts {
			a, ok := apps[part.Key]
			if !ok {
				return fmt.Errorf("a part of app %d, which is not there", part.Key)
			}
			if err := a.take(part, p.At); err != nil {
				return err
			}
			apps[part.Key] = a
		}
		return nil
	}
	_ = take(Patch{State: s}) // it has no parts
	for i, patch := range patches {
		var p Patch
		err := json.Unmarshal(patch, &p)
		if err == nil {
			p.Date()
			err = take(p)
		}
		if err != nil {
			return s, fmt.Errorf("cannot read patch %d of the record of the last master: %w", i, err)
		}
		if p.Config == nil {
			p.Config = s.Config
		}
		p.Version = s.Version // which is that of the whole
		s = p.State
	}
	s.Apps = slices.SortedFunc(maps.Values(apps), func(a, b App) int { return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Key, b.Key)) })
	s.Ended = slices.SortedFunc(maps.Values(ended), func(a, b Ended) int { return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Key, b.Key)) })
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
