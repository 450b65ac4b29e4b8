package succession

import (
	"fmt"
	"iter"
	"slices"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/pool"
)

// Adoption is what a master makes again of what the last one has left. It is decided before anything is touched:
//
//	State, names of files, PIDs that live ── PlanAdoption ──▶ Adoption ── package estate ──▶ apps, sockets, workers
//
// Whatever the State and the names say, no worker is in an Adoption twice, no two workers have one seat, and each app has the
// sockets that it was left with.
type Adoption struct {
	// Keys is the highest key that an app or sockets have.
	Keys int
	// Sockets are made again first, in this order.
	Sockets []AdoptedSockets
	// Apps are in the order in which they are listed.
	Apps []AdoptedApp
	// Drop are names of workers' files that no worker of Apps has. With the files closed, and those of the store, the
	// lifeline of such a worker ends, and the worker with it.
	Drop []string
}

// AdoptedSockets are sockets, and the app whose config says how connections are steered to them.
type AdoptedSockets struct {
	Sockets
	App int // of State.Apps
}

// AdoptedApp is an app that is made again. One of Running and Ended is set.
type AdoptedApp struct {
	Key     int
	Running *App
	Ended   *Ended
	// Run is what the core of package apps is told, but for Spec and Facts, which come with the app.
	Run apps.Restored
	// Workers are in the order of their slots, standbys after them.
	Workers []AdoptedWorker
}

// AdoptedWorker is a worker that the pool of its app has.
type AdoptedWorker struct {
	Member
	Fate
}

// Fate is what becomes of a worker.
type Fate string

const (
	// Taken: its process and its channel are taken over, by its files.
	Taken Fate = "taken"
	// TakenAsStray: likewise. The last master has ended between its start and the next record, which has it as ordered only.
	TakenAsStray Fate = "taken as a stray"
	// Judged: it has ended while the last master handed over. Member.Exit says how, and is judged now.
	Judged Fate = "judged"
	// Missed: the record has it, and its files are not there. It counts as ended, in a way that is not known.
	Missed Fate = "missed"
)

// LeftFiles says which workers' files the last master has left, by name: WorkerName. The value is the PID of the process, as its
// pidfd has it; 0: it has ended, or was not looked at. PlanAdoption needs that of Unsure only. A name whose files are not all
// there has the value Incomplete.
type LeftFiles map[string]int

// Incomplete is in LeftFiles where not all files of a worker are there.
const Incomplete = -1

// Unsure are the names of workers' files that the State has as ordered only. Whether such a worker was started is not known.
func (s State) Unsure() (names []string) {
	for i := range s.Apps {
		for _, w := range workersOf(s.Apps[i].Pool) {
			if w.PID == 0 {
				names = append(names, WorkerName(s.Apps[i].Key, w.ID))
			}
		}
	}
	return names
}

// PlanAdoption decides what is made again of a State. An error says what in the State cannot be; then the workers are what is left
// to go by: see PlanRescue.
func PlanAdoption(s State, left LeftFiles) (p Adoption, err error) {
	p.Keys = min(max(s.Keys, 0), maxKey)
	keys := map[int]bool{} // of apps
	own := func(key *int, name string) error {
		if *key == 0 { // of a version that gave an app that has ended none
			p.Keys++
			*key = p.Keys
		}
		if *key < 0 || *key > maxKey || keys[*key] {
			return fmt.Errorf("cannot adopt app %s: its key is %d, which another one has, or none can have", name, *key)
		}
		keys[*key] = true
		p.Keys = max(p.Keys, *key)
		return nil
	}
	if p.Sockets, err = planSockets(s); err != nil {
		return p, err
	}
	for _, set := range p.Sockets {
		p.Keys = max(p.Keys, set.Key)
	}
	seats, done := map[seat]bool{}, map[string]bool{}
	for i := range s.Apps {
		a := &s.Apps[i]
		if err := own(&a.Key, a.Config.Name); err != nil {
			return p, err
		}
		if !slices.ContainsFunc(p.Sockets, func(set AdoptedSockets) bool { return set.Key == a.Sockets }) {
			return p, fmt.Errorf("cannot adopt app %s: its sockets are not in the record", a.Config.Name)
		}
		p.Apps = append(p.Apps, AdoptedApp{
			Key: a.Key, Running: a, Workers: planWorkers(a, left, seats, done),
			Run: apps.Restored{
				ID: apps.ID(a.Key), Replaces: apps.ID(a.Replaces), Origin: originOf(a.Added, false), Due: a.NextRun,
				EverReady: a.EverReady, Leaving: a.Leaving, Halted: a.Halted, Ran: true,
			},
		})
	}
	for i := range p.Apps {
		if run := &p.Apps[i].Run; !keys[int(run.Replaces)] {
			run.Replaces = 0
		}
	}
	for i := range s.Ended {
		e := &s.Ended[i]
		if err := own(&e.Key, e.Config.Name); err != nil {
			return p, err
		}
		p.Apps = slices.Insert(p.Apps, min(max(e.Place, 0), len(p.Apps)), AdoptedApp{
			Key: e.Key, Ended: e,
			Run: apps.Restored{
				ID: apps.ID(e.Key), Origin: originOf(e.Added, e.Ordered), Due: e.NextRun,
				// One that a person has stopped has left, and so has one that was halted before it had.
				EverReady: e.EverReady, Leaving: e.Halted, Halted: e.Halted,
				Ended: true, Ran: e.History.LastID > 0, Code: e.Code, Reason: e.Reason,
			},
		})
	}
	for name := range left {
		if !done[name] {
			p.Drop = append(p.Drop, name)
		}
	}
	slices.Sort(p.Drop)
	return p, nil
}

func originOf(added, ordered bool) apps.Origin {
	switch {
	case ordered:
		return apps.FromOrder
	case added:
		return apps.FromConfig
	}
	return apps.FromStart
}

func planSockets(s State) (all []AdoptedSockets, err error) {
	for _, set := range s.Sockets {
		of := slices.IndexFunc(s.Apps, func(a App) bool { return a.Sockets == set.Key })
		switch {
		case of < 0:
			return nil, fmt.Errorf("cannot adopt sockets %d: they are of no app", set.Key)
		case set.Key < 1 || set.Key > maxKey || slices.ContainsFunc(all, func(b AdoptedSockets) bool { return b.Key == set.Key }):
			return nil, fmt.Errorf("cannot adopt sockets %d: others have that key, or none can have it", set.Key)
		}
		all = append(all, AdoptedSockets{set, of})
	}
	return all, nil
}

// seat is one of the seats of a slot. An app and the one that it replaces have the same.
type seat struct{ sockets, slot, number int }

// planWorkers are the workers of an app. The pool says which there are: what it does not know of, it could not end. done gets
// the names of the files that are taken.
func planWorkers(a *App, left LeftFiles, seats map[seat]bool, done map[string]bool) (all []AdoptedWorker) {
	members := make(map[pool.WorkerID]Member, len(a.Members))
	for _, m := range a.Members {
		members[m.ID] = m
	}
	for slot, w := range workersOf(a.Pool) {
		name := WorkerName(a.Key, w.ID)
		if done[name] {
			continue // the pool refuses a record that has a worker twice
		}
		m, known := members[w.ID]
		if !known {
			m = Member{ID: w.ID, PID: w.PID, Slot: slot, Seat: -1, Generation: w.Generation, Ready: w.State == pool.StateReady}
		}
		pid, kept := left[name]
		t := AdoptedWorker{m, Taken}
		switch {
		case m.Exit != nil:
			t.Fate = Judged
		case w.PID == 0:
			if pid <= 0 || w.State == pool.StateGone {
				continue // it was not started, or has ended, or cannot be reached: the pool orders another
			}
			t.PID, t.Fate = pid, TakenAsStray
		case !kept || pid == Incomplete:
			t.Fate = Missed
		}
		done[name] = t.Fate == Taken || t.Fate == TakenAsStray
		if at := (seat{a.Sockets, t.Slot, t.Seat}); t.Slot < 0 || t.Seat < 0 || seats[at] {
			t.Seat = -1
		} else {
			seats[at] = true
		}
		all = append(all, t)
	}
	return all
}

// workersOf are all workers of a pool, each with its slot; -1: none.
func workersOf(p pool.Saved) iter.Seq2[int, pool.SavedWorker] {
	return func(yield func(int, pool.SavedWorker) bool) {
		for slot, s := range p.Slots {
			for _, w := range s.Workers {
				if !yield(slot, w) {
					return
				}
			}
		}
		for _, w := range p.Standbys.Workers {
			if !yield(-1, w) {
				return
			}
		}
		for _, w := range p.Abandoned {
			if !yield(w.Slot, w) {
				return
			}
		}
	}
}
