package serve

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// tallyTime bounds the wait for all workers of all gateways.
const tallyTime = time.Second

// gateways knows what the workers of gateways tell, for all that ask. It asks them when it is asked, and remembers what must go on when a
// worker has ended: what it had counted.
type gateways struct {
	place chan struct{} // holds one token while workers are asked, and all below is that one's

	all     api.Gateways
	began   time.Time           // when the workers were asked for it
	counted map[string]*counted // by gateway
	other   map[worker]bool     // that are no gateway's
}

// worker is one of the master's: an ID is of one app.
type worker struct {
	app string
	id  uint64
}

// counted is what the workers of one gateway have counted.
type counted struct {
	gone tallies.Tally            // of those that have ended
	last map[uint64]tallies.Tally // by worker
}

func newGateways() *gateways {
	return &gateways{place: make(chan struct{}, 1), counted: map[string]*counted{}, other: map[worker]bool{}}
}

// heard is what one worker has answered.
type heard struct {
	id    uint64
	tally tallies.Tally
	err   error
	not   bool // it is no gateway's
}

// Gateways asks the workers of all gateways. Callers that come while others are answered share the next round of questions.
func (c commander) Gateways(ctx context.Context, app string) (api.Gateways, error) {
	g, came := c.s.gateways, time.Now()
	select {
	case g.place <- struct{}{}:
		defer func() { <-g.place }()
	case <-ctx.Done():
		return api.Gateways{}, ctx.Err()
	}
	m, err := c.Master.Snapshot(ctx)
	if err != nil {
		return api.Gateways{}, err
	}
	if app != "" && !slices.ContainsFunc(m.Listed, func(a *snapshot.App) bool { return a.Name == app }) {
		return api.Gateways{}, api.Unknown("app", app, namesOf(m))
	}
	if !g.began.After(came) {
		g.ask(ctx, c.Master, m)
	}
	told := api.Gateways{}
	for _, one := range g.all.Gateways {
		if app == "" || app == one.App {
			told.Gateways = append(told.Gateways, one)
		}
	}
	for _, w := range g.all.Silent {
		if app == "" || app == w.App {
			told.Silent = append(told.Silent, w)
		}
	}
	return told, nil
}

func namesOf(m *snapshot.Master) (names []string) {
	for _, a := range m.Listed {
		names = append(names, a.Name)
	}
	return names
}

// ask asks all workers that may be those of gateways, for tallyTime at most, and makes of it what is told.
func (g *gateways) ask(ctx context.Context, master Master, m *snapshot.Master) {
	// Others may share what comes of it, so that it does not end with the caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tallyTime)
	defer cancel()
	began := time.Now()
	var mu sync.Mutex // of answers
	var wg sync.WaitGroup
	answers := map[worker]heard{}
	places := make(chan struct{}, mostAsked)
	there := map[worker]bool{}
	for _, a := range m.Listed {
		for _, w := range a.Workers {
			id := worker{a.Name, uint64(w.ID)}
			if there[id] = true; w.Slot < 0 || g.other[id] {
				continue
			}
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				h := hear(ctx, master, id.app, id.id)
				mu.Lock()
				defer mu.Unlock()
				answers[id] = h
			})
		}
	}
	wg.Wait()
	maps.DeleteFunc(g.other, func(w worker, _ bool) bool { return !there[w] })
	g.all, g.began = api.Gateways{}, began
	listed := map[string]bool{}
	for _, a := range m.Listed {
		configured := isGateway(m, a.Name)
		var of []heard
		for _, w := range a.Workers {
			h, asked := answers[worker{a.Name, uint64(w.ID)}]
			switch {
			case !asked:
			case h.not:
				if w.Ready && !configured { // else it may only not have come so far
					g.other[worker{a.Name, uint64(w.ID)}] = true
				}
			case h.err == nil:
				of = append(of, h)
			case configured || g.counted[a.Name] != nil || !missing(h.err):
				g.all.Silent = append(g.all.Silent, api.SilentWorker{App: a.Name, Slot: w.Slot, Worker: uint64(w.ID), Why: h.err.Error()})
			}
		}
		if !configured && len(of) == 0 && g.counted[a.Name] == nil {
			continue
		}
		listed[a.Name] = true
		g.all.Gateways = append(g.all.Gateways, api.Gateway{App: a.Name, Workers: len(of), Tally: g.sum(ctx, master, a, of)})
	}
	maps.DeleteFunc(g.counted, func(name string, _ *counted) bool { return !listed[name] })
}

// hear asks one worker.
func hear(ctx context.Context, master Master, app string, id uint64) (h heard) {
	out, err := master.Call(ctx, app, id, tallies.Method, nil)
	if unknown := handle.NoHandler(""); errors.As(err, &unknown) {
		return heard{not: true}
	}
	h.id, h.err = id, err
	if err == nil {
		h.tally, h.err = tallies.Decode(out)
	}
	return h
}

// missing reports whether a worker is not there, or cannot be called: it may be no gateway's.
func missing(err error) bool {
	var none handle.NoWorker
	return errors.As(err, &none)
}

// isGateway reports whether the config that runs has an app as a gateway.
func isGateway(m *snapshot.Master, name string) bool {
	if m.Config == nil {
		return false
	}
	for _, a := range m.Config.Apps {
		if a.Name == name {
			return a.Gateway != nil
		}
	}
	return false
}

// sum is what all workers of a gateway know together, and have counted ever. Where none has answered, the members are those of the
// master's table.
func (g *gateways) sum(ctx context.Context, master Master, a *snapshot.App, of []heard) tallies.Tally {
	c := g.counted[a.Name]
	if c == nil {
		c = &counted{last: map[uint64]tallies.Tally{}}
		g.counted[a.Name] = c
	}
	running := map[uint64]bool{}
	for _, w := range a.Workers {
		running[uint64(w.ID)] = true
	}
	for id, t := range c.last {
		if !running[id] {
			t.Continue(&c.gone)
			c.gone = t
			delete(c.last, id)
		}
	}
	all := make([]tallies.Tally, len(of))
	answered := map[uint64]bool{}
	for i, h := range of {
		all[i] = h.tally
		c.last[h.id], answered[h.id] = h.tally, true
	}
	sum := tallies.Sum(all)
	if len(of) == 0 {
		sum = ofTable(ctx, master, a.Name)
	}
	sum.Continue(&c.gone)
	for id, t := range c.last {
		if !answered[id] {
			sum.Continue(&t)
		}
	}
	return sum
}

// ofTable is what the master itself knows of the members of a gateway.
func ofTable(ctx context.Context, master Master, app string) tallies.Tally {
	t := tallies.Tally{Version: tallies.Version, Pools: []tallies.Pool{}, Members: []tallies.Member{}}
	v, err := master.Value(ctx, policy.TableKey(app))
	if err != nil || v.Data == nil {
		return t
	}
	table, err := members.Decode(v.Data)
	if err != nil {
		return t
	}
	t.Listed = len(table.Members)
	for _, m := range table.Members {
		one := tallies.Member{
			ID: m.ID, Type: m.Type, State: m.State, Weight: m.Weight, MaxInFlight: m.MaxInFlight, Why: "no worker of the gateway answers",
		}
		switch {
		case m.State != members.Ready && m.Why != "":
			one.Why = string(m.State) + ": " + m.Why
		case m.State != members.Ready:
			one.Why = string(m.State)
		case m.Weight > 0:
			t.Ready++
		}
		t.Add(one)
	}
	return t
}
