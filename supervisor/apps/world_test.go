package apps

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/civil"
	"github.com/tinehq/tine/supervisor/pool"
)

// world is a shell without processes: it gives the core events, carries out its effects on what stands for pools and orders, and
// holds the rules that hold always (check_test.go).
type world struct {
	*checker
	apps   *Apps
	now    time.Time
	newest ID
	specs  map[string]Spec // by name, for runs that are opened
	wants  map[string]int  // workers of them
	pools  map[ID]*fakePool
	orders map[string]OrderID // under way, by name
	order  OrderID
	hooks  map[ID]map[Hook]bool
	worker pool.WorkerID
	queue  []Event
	said   []string // effects, since they were taken
	done   *Done
}

// fakePool has the facts of a pool and does nothing by itself.
type fakePool struct {
	pool.Brief
}

// begin is when a story begins.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(limits Limits) *world {
	w := &world{
		apps: New(limits), now: begin, specs: map[string]Spec{}, wants: map[string]int{}, pools: map[ID]*fakePool{},
		orders: map[string]OrderID{}, hooks: map[ID]map[Hook]bool{},
	}
	w.checker = &checker{w: w, stops: map[ID]int{}, closed: map[ID]bool{}, known: map[ID]bool{}, held: map[heldOf]bool{}}
	return w
}

// open makes a run of an app, as the shell does when its sockets are open.
func (w *world) open(name string, replaces ID) Opened {
	w.newest++
	p := &fakePool{Brief: pool.Brief{Wanted: w.wants[name], Generation: 1}}
	w.pools[w.newest] = p
	return Opened{w.newest, w.specs[name], p.Brief, replaces}
}

// run is the one that is listed under a name, or the last of that name; #N is the one of that number.
func (w *world) run(name string) *Run {
	if number, is := strings.CutPrefix(name, "#"); is {
		return w.apps.Run(ID(must(strconv.Atoi(number))))
	}
	if r := w.apps.Listed(name); r != nil {
		return r
	}
	for _, r := range slices.Backward(w.apps.Runs()) {
		if r.Name() == name {
			return r
		}
	}
	return nil
}

// step gives an event, and all that follows from it.
func (w *world) step(ev Event) error {
	w.queue = append(w.queue, ev)
	for len(w.queue) > 0 {
		ev := w.queue[0]
		w.queue = w.queue[1:]
		w.before(ev)
		effects := w.apps.Step(w.now, ev)
		if err := w.check(ev, effects); err != nil {
			return fmt.Errorf("%s: %w", name(ev), err)
		}
		for _, e := range effects {
			w.said = append(w.said, w.describe(e))
			w.carryOut(e)
		}
	}
	return nil
}

// pooled tells of a step of a run's pool.
func (w *world) pooled(id ID) {
	w.queue = append(w.queue, Stepped{App: id, Facts: w.pools[id].Brief})
}

// finish is that the pool of a run is done.
func (w *world) finish(id ID, code int, reason string) Event {
	p := w.pools[id]
	p.Phase, p.AllReady = pool.PhaseDone, false
	return Stepped{App: id, Facts: p.Brief, Moved: true, Done: &pool.Done{Code: code, Reason: reason}}
}

func (w *world) carryOut(e Effect) {
	switch e := e.(type) {
	case Start:
		w.pools[e.App].Phase = pool.PhaseRunning
		w.pooled(e.App)
	case Pool:
		p := w.pools[e.App]
		switch ev := e.Event.(type) {
		case pool.Stop:
			switch {
			case p.Phase == pool.PhaseIdle:
				w.queue = append(w.queue, w.finish(e.App, 0, "stopped"))
				return
			case p.Phase < pool.PhaseStopping:
				p.Phase = pool.PhaseStopping
			}
		case pool.Kill:
			if p.Phase == pool.PhaseIdle {
				w.queue = append(w.queue, w.finish(e.App, 0, "stopped"))
				return
			}
			p.Phase = max(p.Phase, pool.PhaseKilling)
		case pool.Roll, pool.Hurry:
		default:
			panic(fmt.Sprintf("unexpected event of a pool: %T", ev))
		}
		w.pooled(e.App)
	case RunHook:
		if w.hooks[e.App] == nil {
			w.hooks[e.App] = map[Hook]bool{}
		}
		w.hooks[e.App][e.Hook] = true
	case OrderStart:
		w.order++
		w.orders[w.apps.Run(e.App).Name()] = w.order
		w.queue = append(w.queue, NextRun{e.App, w.order})
	case Done:
		w.done = &e
	}
}

// name is that of a run in a description: with its number where it is not the first of its name.
func (w *world) name(id ID) string {
	r := w.apps.Run(id)
	if r == nil {
		return fmt.Sprintf("#%d", id)
	}
	for _, o := range w.apps.Runs() {
		if o != r && o.Name() == r.Name() {
			return fmt.Sprintf("%s#%d", r.Name(), id)
		}
	}
	return r.Name()
}

// describe writes an effect as one line; records after a dash.
func (w *world) describe(e Effect) string {
	because := func(s, why string) string {
		if why != "" {
			return s + " (" + why + ")"
		}
		return s
	}
	switch e := e.(type) {
	case Order:
		var all []string
		for _, id := range e.Apps {
			all = append(all, w.name(id))
		}
		return strings.TrimSpace("runs: " + strings.Join(all, " "))
	case Save:
		var all []string
		for _, id := range e.Apps {
			all = append(all, w.name(id))
		}
		if e.Now {
			return "save " + strings.Join(all, " ") + " now"
		}
		return "" // the checker holds these
	case Listen:
		return "listen " + w.name(e.App)
	case Start:
		if e.Anew {
			return "start " + w.name(e.App) + " anew"
		}
		return "start " + w.name(e.App)
	case Pool:
		switch ev := e.Event.(type) {
		case pool.Stop:
			return because("stop "+w.name(e.App), ev.Reason)
		case pool.Kill:
			return because("kill "+w.name(e.App), ev.Reason)
		case pool.Roll:
			return because("roll "+w.name(e.App), ev.Reason)
		case pool.Hurry:
			return fmt.Sprintf("hurry %s within %v", w.name(e.App), ev.Within)
		}
	case Watch:
		return "watch " + w.name(e.App)
	case Unwatch:
		return "unwatch " + w.name(e.App)
	case RunHook:
		text := fmt.Sprintf("hook %s %s gen=%d", e.Hook, w.name(e.App), e.Generation)
		for _, m := range e.Workers {
			text += fmt.Sprintf(" worker=%d", m.ID)
		}
		if e.Code != 0 || e.Signal != 0 {
			text += fmt.Sprintf(" code=%d signal=%d", e.Code, e.Signal)
		}
		return text
	case CancelHooks:
		return "cancel hooks " + w.name(e.App)
	case Release:
		return fmt.Sprintf("drain %s worker=%d within %v", w.name(e.App), e.Drain.ID, e.Drain.Timeout)
	case Serves:
		return "serves " + w.name(e.App)
	case Change:
		if e.Stopped {
			return "change " + w.name(e.App) + " stopped"
		}
		return "change " + w.name(e.App)
	case Forget:
		return "forget " + w.name(e.App)
	case OrderStart:
		return because("order start "+w.name(e.App), e.Reason)
	case Close:
		return because(fmt.Sprintf("close %s code=%d", w.name(e.App), e.Code), e.Reason)
	case AllReady:
		text := "all ready"
		for _, id := range e.Failed {
			text += " but " + w.name(id)
		}
		return text
	case Stops:
		text := because("stops", e.Reason)
		if e.Now {
			text += " now"
		}
		if e.Delay > 0 {
			text += fmt.Sprintf(" delay=%v", e.Delay)
		}
		if e.Within > 0 {
			text += fmt.Sprintf(" within=%v", e.Within)
		}
		return text
	case NoTime:
		return "no time"
	case Done:
		if e.Code != 0 {
			return fmt.Sprintf("done code=%d %s (%s)", e.Code, e.App, e.Reason)
		}
		return "done"
	case Record:
		text := "- " + e.Kind.String()
		if e.App != 0 {
			text += " " + w.name(e.App)
		}
		if !e.Next.IsZero() {
			text += " next=" + e.Next.Sub(begin).String()
		}
		if e.Count != 0 {
			text += fmt.Sprintf(" count=%d", e.Count)
		}
		if e.State != Unknown {
			text += " state=" + e.State.String()
		}
		return because(text, e.Reason)
	}
	return fmt.Sprintf("%#v", e)
}

// spec reads what an app is like: needs=a,b:exited oneshot not-at-start cron=@every_1h watch hooks=after_ready,on_crash
// before_drain=10s workers=N.
func spec(t testing.TB, name string, words []string) (Spec, int) {
	t.Helper()
	c, workers := Spec{Name: name}, 2
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "needs":
			for n := range strings.SplitSeq(value, ",") {
				n, what, _ := strings.Cut(n, ":")
				c.Needs = append(c.Needs, Need{n, what == "exited"})
			}
			slices.SortFunc(c.Needs, func(a, b Need) int { return strings.Compare(a.Name, b.Name) })
		case "oneshot":
			c.OneShot, workers = true, 1
		case "not-at-start":
			c.NotAtStart = true
		case "cron":
			c.Schedule = must(civil.Parse(strings.ReplaceAll(value, "_", " "), time.UTC))
		case "watch":
			c.Watched = true
		case "hooks":
			for h := range strings.SplitSeq(value, ",") {
				c.Hooks.AfterReady = c.Hooks.AfterReady || h == "after_ready"
				c.Hooks.OnCrash = c.Hooks.OnCrash || h == "on_crash"
			}
		case "before_drain":
			c.Hooks.BeforeDrain = must(time.ParseDuration(value))
		case "workers":
			workers = must(strconv.Atoi(value))
		default:
			t.Fatalf("an app has no %s", word)
		}
	}
	return c, workers
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
