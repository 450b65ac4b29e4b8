package succession

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// RescueReason is why the workers of a Rescue are replaced.
const RescueReason = "the record of the last master is lost"

// Rescue is what a master makes of what the last one has left when the record cannot be read, or is of a version that is not
// known. The record says nothing about the workers then. But they can be asked, over their lifelines, and the sockets say where
// they listen:
//
//	worker.APP.ID   ── hello ──▶  app's name, slot, seat, state
//	sockets.KEY.*   ── bound to ─▶ the addresses of an app of the config
//
// Those that serve are adopted with the slots that they have, and replaced one by one, as in a rollout, since what they are
// started from is not known. The others are told to end.
type Rescue struct {
	// State is what is adopted: see PlanAdoption. With no app in it, there is nothing that could be.
	State State
	// Lost are the workers that are told to end.
	Lost []LeftWorker
	// Drop are names of files that nothing in State has, and no worker in Lost: those of a process that has another name in State
	// are among them, as that is not to end.
	Drop []string
}

// LeftWorker is a worker whose files are there, and what it says of itself.
type LeftWorker struct {
	Key   int // of its app, as the name of the files has it
	ID    pool.WorkerID
	PID   int       // 0: it has ended
	Hello ipc.Hello // empty: it has not said any
}

// Name is that of its files.
func (w LeftWorker) Name() string { return WorkerName(w.Key, w.ID) }

// Serves says whether it can be adopted. What it says of itself it may make up: what cannot be is nothing that others could be
// adopted by.
func (w LeftWorker) Serves() bool {
	h := w.Hello
	return w.PID > 0 && h.State == ipc.StateReady && h.Worker == uint64(w.ID) && h.Worker > 0 && h.Worker < maxWorkerID &&
		h.Slot >= 0 && h.Slot < pool.MaxSlots && h.Slot < ipc.MaxSlots && h.Seat >= 0 && h.Seat < ipc.Seats && h.Generation < math.MaxInt32
}

// maxWorkerID is above all that a pool gives: 100,000 workers a second would take a thousand years.
const maxWorkerID = 1 << 52

// WantedApp is an app of the config.
type WantedApp struct {
	Config config.App
	Pool   pool.Config // as its pool is made with
	// Exact: there are addresses, and each says where it is, to the port. Sockets at any port may be those of another app.
	Exact bool
	// Fits are the sockets that are bound to its addresses, by key.
	Fits map[int]listen.Saved
}

// PlanRescue decides what is adopted for the apps of a config. at is the time, as [ipc.Monotonic] has it; names are those of all
// files that were left, and workers those of them that are a worker's, each once.
func PlanRescue(at int64, wanted []WantedApp, names []string, workers []LeftWorker) (r Rescue) {
	r.State = State{Version: Version, At: at, WasReady: true}
	for _, name := range names {
		worker, _, _ := ParseWorkerName(name)
		sockets, _, _ := ParseSocketsName(name)
		r.State.Keys = max(r.State.Keys, worker, sockets)
	}
	workers = slices.Clone(workers)
	slices.SortFunc(workers, func(a, b LeftWorker) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID)) })
	taken := map[string]bool{} // names of workers
	pids, apps := map[int]bool{}, map[string]bool{}
	run := runs(workers)
	for _, want := range wanted {
		own := serving(want.Config.Name, run[want.Config.Name], workers, pids)
		if apps[want.Config.Name] || !r.rescueApp(want, own) {
			r.State.WasReady = false
			continue // what it has is ended, and it is started as if it was new
		}
		apps[want.Config.Name] = true
		for _, w := range own {
			taken[w.Name()], pids[w.PID] = true, true
		}
	}
	known := map[string]bool{}
	for _, w := range workers {
		if known[w.Name()] = taken[w.Name()] || !pids[w.PID]; known[w.Name()] && !taken[w.Name()] {
			r.Lost = append(r.Lost, w)
		}
	}
	for _, name := range names {
		key, _, _ := ParseSocketsName(name)
		switch {
		case strings.HasPrefix(name, WorkerPrefix) && !known[name],
			strings.HasPrefix(name, SocketsPrefix) && !slices.ContainsFunc(r.State.Sockets, func(s Sockets) bool { return s.Key == key }):
			r.Drop = append(r.Drop, name)
		}
	}
	slices.Sort(r.Drop)
	return r
}

// runs has the run of each app whose workers can be adopted, by the key of the run, as the pool of an app has one. A run is of the
// app that most of its workers name. Of several runs of an app it is that with the most workers, and of equals the newest.
func runs(workers []LeftWorker) map[string]int {
	votes := map[int]map[string]int{}
	for _, w := range workers {
		if w.Serves() {
			if votes[w.Key] == nil {
				votes[w.Key] = map[string]int{}
			}
			votes[w.Key][w.Hello.App]++
		}
	}
	run, size := map[string]int{}, map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(votes)) {
		app, most := "", 0
		for _, name := range slices.Sorted(maps.Keys(votes[key])) {
			if n := votes[key][name]; n > most {
				app, most = name, n
			}
		}
		if most >= size[app] {
			run[app], size[app] = key, most
		}
	}
	return run
}

// serving are the workers of a run that can be adopted, in the order of their IDs. Of two that say that they have the same seat
// the newer one is among them. taken are the PIDs of those that are adopted already.
func serving(app string, run int, workers []LeftWorker, taken map[int]bool) (own []LeftWorker) {
	seats, pids := map[seat]bool{}, map[int]bool{}
	for _, w := range slices.Backward(workers) {
		at := seat{slot: w.Hello.Slot, number: w.Hello.Seat}
		if w.Key != run || w.Hello.App != app || !w.Serves() || seats[at] || taken[w.PID] || pids[w.PID] {
			continue
		}
		seats[at], pids[w.PID] = true, true
		own = append(own, w)
	}
	slices.Reverse(own)
	return own
}

// rescueApp adds an app to the state. It is false where the app has nothing that it could go on with.
func (r *Rescue) rescueApp(want WantedApp, own []LeftWorker) bool {
	sockets, ok := r.sockets(want, own)
	if !ok {
		return false
	}
	generation := 0
	for _, w := range own {
		generation = max(generation, int(w.Hello.Generation))
	}
	want.Pool.FirstGeneration = generation + 1
	a := App{
		Sockets: sockets.Key, Config: want.Config, EverReady: len(own) > 0,
		Generations: map[int]Generation{want.Pool.FirstGeneration: {Config: want.Config}},
		History:     History{LastGeneration: want.Pool.FirstGeneration},
	}
	var found []pool.Found
	for _, w := range own {
		found = append(found, pool.Found{ID: w.ID, PID: w.PID, Slot: w.Hello.Slot})
		a.Key, a.History.LastID = w.Key, w.ID
		a.Members = append(a.Members, Member{
			ID: w.ID, PID: w.PID, Slot: w.Hello.Slot, Seat: w.Hello.Seat, Generation: int(w.Hello.Generation), Ready: true, Greeted: true,
		})
	}
	if a.Key == 0 {
		r.State.Keys++
		a.Key = r.State.Keys
	}
	a.Pool = pool.Adopted(want.Pool, found, RescueReason)
	for len(a.Pool.Slots) < sockets.Set.Slots { // those that have sockets only are filled, or closed in order
		a.Pool.Slots = append(a.Pool.Slots, pool.SavedSlot{Generation: want.Pool.FirstGeneration})
	}
	a.Pool.Claimed = min(len(a.Pool.Slots), a.Pool.Want)
	r.State.Apps, r.State.Sockets = append(r.State.Apps, a), append(r.State.Sockets, sockets)
	r.State.WasReady = r.State.WasReady && len(sockets.Set.Admitted) >= want.Config.Slots()
	return true
}

// sockets finds those of an app. The key of its workers leads to them, as both got theirs together; else the config must say
// where they are, to the port.
func (r *Rescue) sockets(want WantedApp, own []LeftWorker) (s Sockets, ok bool) {
	together := 0
	if len(own) > 0 {
		together = own[0].Key + 1
	}
	for key, set := range want.Fits {
		if slices.ContainsFunc(r.State.Sockets, func(other Sockets) bool { return other.Key == key }) || !want.Exact && key != together {
			continue
		}
		if !ok || key == together || s.Key != together && key < s.Key {
			s, ok = Sockets{key, set}, true
		}
	}
	s.Set.Admitted = nil
	for _, w := range own {
		s.Set.Slots = max(s.Set.Slots, w.Hello.Slot+1)
		s.Set.Admitted = append(s.Set.Admitted, w.Hello.Slot)
	}
	slices.Sort(s.Set.Admitted)
	s.Set.Admitted = slices.Compact(s.Set.Admitted)
	return s, ok
}
