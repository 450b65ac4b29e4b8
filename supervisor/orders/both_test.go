package orders

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// both is a book above the real core of the apps and real pools: the smallest shell that carries out what the three order.
type both struct {
	t        *testing.T
	book     *Book
	core     *apps.Apps
	now      time.Time
	configs  []config // of all apps; a config that is applied leaves some out
	runs     map[apps.ID]*run
	last     apps.ID
	opening  []ID
	prepared map[ID]*run
	parts    map[Request]int
	asked    Request
	events   []apps.Event // that wait for the core
	deciding bool
	over     bool
}

func newBoth(t *testing.T, configs ...config) *both {
	w := &both{t: t, core: apps.New(apps.Limits{}), now: time.Unix(0, 0), configs: configs, runs: map[apps.ID]*run{}, prepared: map[ID]*run{}, parts: map[Request]int{}}
	w.book = New(w, func(string) (int, string) { return 1, "SIGHUP" })
	w.book.strict = true
	var begin apps.Begin
	for _, c := range configs {
		begin.Runs = append(begin.Runs, w.enter(w.newRun(c, 1, c.workers)))
	}
	w.decide(begin)
	return w
}

func (w *both) newRun(c config, firstID pool.WorkerID, workers int) *run {
	p := pool.Default()
	p.Workers, p.Backoff.Jitter, p.AgeJitter, p.Strict, p.StartLimit, p.FirstID = workers, 0, 0, true, c.limit, firstID
	w.last++
	return &run{id: w.last, config: c, pool: pool.New(p), pids: map[pool.WorkerID]int{}, slots: map[pool.WorkerID]int{}}
}

func spec(c config) apps.Spec {
	s := apps.Spec{Name: c.name, OneShot: c.oneshot}
	if c.needs != "" {
		s.Needs = []apps.Need{{Name: c.needs}}
	}
	return s
}

func (w *both) enter(r *run) apps.Opened {
	w.runs[r.id] = r
	return apps.Opened{ID: r.id, Spec: spec(r.config), Facts: r.pool.Brief()}
}

// What the book reads.

func (w *both) Listed() (all []apps.ID) {
	for _, r := range w.core.List() {
		all = append(all, r.ID())
	}
	return all
}

func (w *both) App(id apps.ID) (App, bool) {
	r, of := w.core.Run(id), w.runs[id]
	if r == nil {
		return App{}, false
	}
	code, reason := r.Exit()
	return App{
		ID: id, Name: r.Name(), Namespace: of.config.namespace, State: r.State(), Shown: r.Shown(), Halted: r.Halted(), NextBy: r.Next(),
		Missing: r.Missing(), Code: code, Reason: reason, OneShot: of.config.oneshot, Endless: of.config.limit == 0, Processes: len(of.pids),
		Times: time.Minute, Pool: of.pool,
	}, true
}

func (w *both) Patience(apps.ID) time.Duration { return time.Minute }
func (w *both) Trouble(id apps.ID) string      { return "waits: " + w.core.Run(id).Missing() }
func (w *both) Releases(apps.ID) (bool, bool)  { return true, true }
func (w *both) Stopping() bool                 { return w.core.Stopping() }

// order gives the book an event and carries out what follows.
func (w *both) order(ev Event) (acted bool) {
	for _, e := range w.book.Step(w.now, ev) {
		acted = true
		switch e := e.(type) {
		case Progress, Warn:
			acted = false
		case Begun:
			acted, w.parts[e.Request] = false, e.Parts
		case Refused:
			acted, w.parts[e.Request] = false, 0
		case Result:
			acted = false
			if w.parts[e.Request]--; w.parts[e.Request] < 0 {
				w.t.Fatalf("request %d has more results than parts", e.Request)
			}
		case Do:
			w.decide(e.Event)
		case Stop:
			w.decide(apps.StopApp{App: e.App, Now: e.Now})
		case Pool:
			w.pool(w.runs[e.App], e.Event)
		case Send:
			w.order(Signalled{e.Order, nil})
		case Open:
			w.opening = append(w.opening, e.Order)
		case Exchange:
			next := w.prepared[e.Order]
			delete(w.prepared, e.Order)
			w.decide(apps.Exchange{App: e.App, Next: w.enter(next)})
		case Close:
			if w.prepared[e.Order] == nil {
				w.t.Fatalf("order %d closes what was not prepared", e.Order)
			}
			delete(w.prepared, e.Order)
		case Kill, Hold, Blame:
		default:
			w.t.Fatalf("effect %T", e)
		}
	}
	return acted
}

// decide gives the core of the apps an event when it has carried out what came of the one before.
func (w *both) decide(ev apps.Event) {
	w.events = append(w.events, ev)
	if w.deciding {
		return
	}
	w.deciding = true
	for len(w.events) > 0 {
		ev := w.events[0]
		w.events = w.events[1:]
		for _, e := range w.core.Step(w.now, ev) {
			switch e := e.(type) {
			case apps.Start:
				w.pool(w.runs[e.App], pool.Start{})
			case apps.Pool:
				w.pool(w.runs[e.App], e.Event)
			case apps.OrderStart:
				w.order(Own{e.App, e.Reason})
			case apps.Done:
				w.over = true
			case apps.Record:
				if e.Kind == apps.KindImpossible {
					w.t.Fatalf("the core of the apps is told what is impossible: %s, by %T", e.Reason, ev)
				}
			}
		}
	}
	w.deciding = false
}

func (w *both) pool(r *run, ev pool.Event) {
	switch ev := ev.(type) {
	case pool.Spawned:
		r.pids[ev.ID] = ev.PID
		r.awaited = slices.DeleteFunc(r.awaited, func(id pool.WorkerID) bool { return id == ev.ID })
	case pool.SpawnFailed:
		r.awaited = slices.DeleteFunc(r.awaited, func(id pool.WorkerID) bool { return id == ev.ID })
	case pool.Exited:
		delete(r.pids, ev.ID)
	}
	stepped := apps.Stepped{App: r.id}
	for _, e := range r.pool.Step(w.now, ev) {
		switch e := e.(type) {
		case pool.Spawn:
			r.awaited = append(r.awaited, e.ID)
			r.lastID = max(r.lastID, e.ID)
		case pool.Record:
			switch e.Kind {
			case pool.KindReady, pool.KindRolloutDone, pool.KindFinished, pool.KindRetired, pool.KindExited:
				stepped.Moved = true
			}
			w.order(Fact{App: r.id, Record: e})
		case pool.Done:
			stepped.Done = &e
		}
	}
	stepped.Facts = r.pool.Brief()
	w.decide(stepped)
}

// rest has the book judge, and looks whether the two cores agree.
func (w *both) rest() {
	for n := 0; w.order(Tick{}); n++ {
		if n > 4*len(w.book.orders)+8 {
			w.t.Fatal("the book does not come to rest")
		}
	}
	for _, r := range w.core.Runs() {
		if id := r.Next(); id != 0 && !w.over && // after Done the core takes in nothing
			w.book.claims[r.ID()] != id {
			w.t.Fatalf("app %s waits for an order that has ended", r.Name())
		}
	}
	for _, o := range w.book.orders {
		switch o.phase {
		case ending, opening, preparing, replacing:
			if r := w.core.Run(o.app); !w.over && o.phase != opening && o.phase != preparing && (r == nil || r.Next() != o.id) {
				w.t.Fatalf("order %d is to bring the next run of app %s, whose core does not know", o.id, o.name)
			}
		}
		if !o.due.After(w.now) {
			w.t.Fatalf("order %d outlives its deadline", o.id)
		}
	}
}

// pass lets time go by.
func (w *both) pass(d time.Duration) {
	until := w.now.Add(d)
	for ticks := 0; ; ticks++ {
		next := w.book.Deadline()
		for _, r := range w.runs {
			if at := r.pool.Deadline(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if next.IsZero() || next.After(until) || ticks > 100_000 {
			break
		}
		w.now = next
		for _, r := range w.core.Runs() {
			if at := w.runs[r.ID()].pool.Deadline(); !at.IsZero() && !at.After(w.now) {
				w.pool(w.runs[r.ID()], pool.Tick{})
			}
		}
		w.rest()
	}
	w.now = until
}

// configure applies a config of some of the apps, which are opened at once.
func (w *both) configure(with func(config) bool) {
	var all []apps.Wanted
	var wanted []config
	for _, c := range w.configs {
		if with(c) {
			all, wanted = append(all, apps.Wanted{Spec: spec(c), Equal: true}), append(wanted, c)
		}
	}
	w.decide(apps.Opening{})
	opens, _ := w.core.Plan(all)
	var opened []apps.Opened
	for _, i := range opens {
		opened = append(opened, w.enter(w.newRun(wanted[i], 1, wanted[i].workers)))
	}
	w.asked++
	w.order(Follow{w.asked, "config"})
	w.decide(apps.Configure{Apps: all, New: opened})
	w.order(Followed{w.asked})
}

// happen is one thing that happens.
func (w *both) happen(random *rand.Rand) {
	var r *run
	if all := w.core.Runs(); len(all) > 0 {
		r = w.runs[all[random.IntN(len(all))].ID()]
	}
	switch random.IntN(14) {
	case 0, 1, 2:
		o := api.Order{Verb: verbs[random.IntN(len(verbs))], N: random.IntN(4), Now: random.IntN(2) == 0, Signal: "HUP"}
		if random.IntN(8) > 0 {
			o.App = w.configs[random.IntN(len(w.configs))].name
		}
		if slot := random.IntN(2); random.IntN(4) == 0 {
			o.Slot = &slot
		}
		w.asked++
		w.order(Placed{w.asked, o})
	case 3, 4, 5:
		if len(w.opening) > 0 {
			w.answer(w.opening[0], random.IntN(6) == 0)
		}
	case 6, 7, 8, 9, 10, 11:
		if r != nil {
			w.worker(r, random)
		}
	case 12:
		w.pass(time.Duration(random.IntN(20)) * time.Second)
	case 13:
		if random.IntN(4) == 0 && !w.core.Stopping() {
			gone := w.configs[random.IntN(len(w.configs))].name
			w.configure(func(c config) bool { return c.name != gone || random.IntN(2) == 0 })
		}
	}
}

// answer is what the shell answers to Open.
func (w *both) answer(id ID, fails bool) {
	w.opening = w.opening[1:]
	if fails {
		w.order(OpenFailed{id, fmt.Errorf("no such file")})
		return
	}
	next := w.newRun(w.configs[0], 1, 1)
	if o := w.book.find(id); o != nil && w.runs[o.app] != nil {
		old := w.runs[o.app]
		next = w.newRun(old.config, old.lastID+1, old.pool.Wanted())
	}
	w.prepared[id] = next
	w.order(Opened{id, next.id, next.pool.Wanted()})
}

func (w *both) worker(r *run, random *rand.Rand) {
	if len(r.awaited) > 0 && random.IntN(2) == 0 {
		id := r.awaited[0]
		if random.IntN(8) == 0 {
			w.pool(r, pool.SpawnFailed{ID: id, Err: "no such file"})
			return
		}
		w.pool(r, pool.Spawned{ID: id, PID: 100 + int(id)})
		return
	}
	if ids := r.workers(); len(ids) > 0 {
		id := ids[random.IntN(len(ids))]
		if random.IntN(3) > 0 {
			w.pool(r, pool.Ready{ID: id})
		} else {
			w.pool(r, pool.Exited{ID: id, Code: random.IntN(2)})
		}
	}
}

// TestBothCores plays random stories of the book and the core of the apps together. Neither tells the other what is impossible, they
// agree on which order brings the next run of an app, and each request has all its results.
func TestBothCores(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newBoth(t,
				config{name: "db", workers: 1, limit: 2, namespace: "shop"},
				config{name: "web", workers: 2, limit: 3, needs: "db", namespace: "shop"},
				config{name: "job", workers: 1, limit: 2, oneshot: true},
				config{name: "api", workers: 2})
			random := rand.New(rand.NewPCG(seed, 3))
			for range 400 {
				if w.happen(random); w.over {
					return // nothing runs that could come back
				}
				w.rest()
			}
			w.pass(time.Hour)
			w.rest()
			if len(w.book.orders) > 0 {
				t.Errorf("%d orders have not ended", len(w.book.orders))
			}
			for request, left := range w.parts {
				if left != 0 {
					t.Errorf("request %d lacks %d results", request, left)
				}
			}
			if len(w.parts) != int(w.asked) {
				t.Errorf("%d of %d requests were answered", len(w.parts), w.asked)
			}
		})
	}
}
