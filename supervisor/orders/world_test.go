package orders

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// world is the shell and the apps around a book, as far as orders see them, with real pools. It holds what must hold of every
// story.
type world struct {
	book  *Book
	now   time.Time
	begin time.Time
	runs  []*run // in the order of the config
	last  apps.ID
	stops bool // the master
	out   io.Writer

	opening  []ID        // orders that wait for their next run
	prepared map[ID]*run // by order
	held     map[ID]bool // likewise: the sockets of the run before
	asked    int         // requests
	parts    map[Request]int
	refused  int
	wrong    error         // the first thing that must not be
	holder   map[string]ID // of a slot, the order that emptied it last
	ways     map[string]bool
}

// run is one run of an app.
type run struct {
	id      apps.ID
	config  config
	pool    *pool.Pool
	pids    map[pool.WorkerID]int // workers that exist
	slots   map[pool.WorkerID]int
	awaited []pool.WorkerID // that were ordered, and have no process yet
	lastID  pool.WorkerID

	waiting, blocked  bool
	leaving, halted   bool
	ended             bool
	code              int
	reason            string
	next              ID
	previous, canBack bool
}

type config struct {
	name, namespace string
	workers, limit  int
	oneshot, shared bool
	alone           bool // no gateway passes requests on to it
	needs           string
	patience        time.Duration
}

func newWorld(out io.Writer) *world {
	w := &world{out: out, begin: time.Unix(0, 0), prepared: map[ID]*run{}, held: map[ID]bool{}, parts: map[Request]int{}, holder: map[string]ID{}, ways: map[string]bool{}}
	w.now = w.begin
	w.book = New(w, func(text string) (int, string) {
		name := "SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")
		return map[string]int{"SIGHUP": 1, "SIGTERM": 15}[name], name
	})
	w.book.strict = true
	w.book.went = func(from, to phase) { w.ways[from.String()+" "+to.String()] = true }
	return w
}

func (w *world) fault(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

func (w *world) newRun(c config, firstID pool.WorkerID, workers int) *run {
	p := pool.Default()
	p.Workers, p.Backoff.Jitter, p.AgeJitter, p.Strict, p.StartLimit, p.FirstID = workers, 0, 0, true, c.limit, firstID
	w.last++
	return &run{id: w.last, config: c, pool: pool.New(p), pids: map[pool.WorkerID]int{}, slots: map[pool.WorkerID]int{}, waiting: c.needs != ""}
}

func (w *world) find(id apps.ID) *run {
	i := slices.IndexFunc(w.runs, func(r *run) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return w.runs[i]
}

func (w *world) named(name string) *run {
	i := slices.IndexFunc(w.runs, func(r *run) bool { return r.config.name == name })
	if i < 0 {
		return nil
	}
	return w.runs[i]
}

// What the book reads.

func (w *world) Listed() (all []apps.ID) {
	for _, r := range w.runs {
		all = append(all, r.id)
	}
	return all
}

func (w *world) Patience(id apps.ID) time.Duration { return w.find(id).config.patience }

func (w *world) Trouble(id apps.ID) string {
	return "waits: " + w.find(id).config.needs + " is not ready"
}

func (w *world) Releases(id apps.ID) (previous, goBack bool) {
	r := w.find(id)
	return r.previous, r.canBack
}

func (w *world) Stopping() bool { return w.stops }

func (w *world) App(id apps.ID) (App, bool) {
	r := w.find(id)
	if r == nil {
		return App{}, false
	}
	c := r.config
	state := r.state()
	shown := map[apps.State]apps.State{apps.Leaving: apps.Stopping, apps.Ending: apps.Stopping, apps.Blocked: apps.Waiting}[state]
	if shown == apps.Unknown {
		shown = state
	}
	return App{
		ID: r.id, Name: c.name, Namespace: c.namespace, State: state, Shown: shown, Halted: r.halted, NextBy: r.next, Missing: c.needs + " is not ready",
		Code: r.code, Reason: r.reason, OneShot: c.oneshot, Endless: c.limit == 0, Shared: c.shared, Target: !c.alone, Processes: len(r.pids), Times: c.patience, Pool: r.pool,
	}, true
}

func (r *run) workers() []pool.WorkerID { return slices.Sorted(maps.Keys(r.pids)) }

func (r *run) state() apps.State {
	phase := r.pool.Phase()
	switch {
	case r.ended && r.halted:
		return apps.Stopped
	case r.ended && r.leaving:
		return apps.Gone
	case r.ended && r.code != 0:
		return apps.Failed
	case r.ended:
		return apps.Finished
	case r.leaving:
		return apps.Leaving
	case phase == pool.PhaseStopping || phase == pool.PhaseKilling:
		return apps.Ending
	case r.blocked:
		return apps.Blocked
	case r.waiting:
		return apps.Waiting
	}
	return apps.Running
}

// step gives the book an event, and carries out what it orders. It says whether anything was ordered for an app.
func (w *world) step(ev Event) (acted bool) {
	for _, e := range w.book.Step(w.now, ev) {
		switch e := e.(type) {
		case Progress:
			w.say("%s", describeProgress(e))
		case Begun:
			w.parts[e.Request] = e.Parts
			w.say("begun %d: %d", e.Request, e.Parts)
		case Refused:
			w.refused++
			if _, begun := w.parts[e.Request]; begun {
				w.fault("request %d is refused after it was begun", e.Request)
			}
			w.parts[e.Request] = 0
			w.say("refused %d: %s", e.Request, describeError(e.Err))
		case Result:
			w.parts[e.Request]--
			if w.parts[e.Request] < 0 {
				w.fault("request %d has more results than parts", e.Request)
			}
			w.say("result %d.%d: %s", e.Request, e.Part, describeError(e.Err))
		case Warn:
			w.say("warn: cannot %s app %s (%s): %v", e.Verb, e.App, e.Reason, e.Err)
		default:
			acted = true
			w.carryOut(e)
		}
	}
	return acted
}

func (w *world) carryOut(e Effect) {
	switch e := e.(type) {
	case Do:
		w.do(e.Event)
	case Stop:
		r := w.find(e.App)
		w.say("stop %s now=%t (%s)", r.config.name, e.Now, e.Reason)
		if r.next != 0 && r.ended {
			r.halted = true
		}
		r.next = 0
		if !r.ended {
			r.halted = true
			w.leave(r, e.Now, "")
		}
	case Pool:
		r := w.find(e.App)
		w.say("pool %s: %s", r.config.name, describePool(e.Event))
		w.pool(r, e.Event)
	case Kill:
		w.say("kill %s slot %d", w.find(e.App).config.name, e.Slot)
	case Send:
		r := w.find(e.App)
		var sent []Sent
		for _, id := range r.workers() {
			if e.Slot == nil || r.slots[id] == *e.Slot {
				sent = append(sent, Sent{r.slots[id], id, r.pids[id]})
			}
		}
		w.say("send %d to %d workers of %s", e.Signal, len(sent), r.config.name)
		w.step(Signalled{e.Order, sent})
	case Open:
		w.say("open the next run of %s for order %d keep=%t", w.find(e.App).config.name, e.Order, e.Keep)
		w.opening = append(w.opening, e.Order)
	case Hold:
		w.say("hold the sockets of order %d", e.Order)
		w.held[e.Order] = true
	case Exchange:
		w.exchange(e)
	case Close:
		w.say("close what was prepared for order %d", e.Order)
		if w.prepared[e.Order] == nil {
			w.fault("order %d closes what was not prepared", e.Order)
		}
		delete(w.prepared, e.Order)
		delete(w.held, e.Order)
	case Blame:
		w.say("blame: %v", e.Err)
	default:
		w.fault("unknown effect %T", e)
	}
}

func (w *world) do(ev apps.Event) {
	switch ev := ev.(type) {
	case apps.NextRun:
		r := w.find(ev.App)
		w.say("next run of %s by order %d", r.config.name, ev.Order)
		if r.next != 0 {
			w.fault("two orders bring the next run of %s", r.config.name)
		}
		r.next = ev.Order
	case apps.NoNextRun:
		if r := w.find(ev.App); r != nil && r.next == ev.Order {
			w.say("no next run of %s", r.config.name)
			r.next = 0
		}
	case apps.StopForNext:
		r := w.find(ev.App)
		w.say("stop %s for its next run now=%t (%s)", r.config.name, ev.Now, ev.Reason)
		r.halted = true
		w.leave(r, ev.Now, ev.Reason)
	case apps.StartNeeds:
		if r := w.find(ev.App); r.config.needs != "" {
			if d := w.named(r.config.needs); d != nil && d.ended && d.next == 0 {
				w.step(Own{d.id, "app " + r.config.name + " depends on it"})
			}
		}
	default:
		w.fault("unknown event %T", ev)
	}
}

func (w *world) leave(r *run, now bool, reason string) {
	if r.leaving && !now {
		return
	}
	r.leaving = true
	if now {
		w.pool(r, pool.Kill{Reason: reason})
	} else {
		w.pool(r, pool.Stop{Reason: reason})
	}
}

func (w *world) exchange(e Exchange) {
	next, i := w.prepared[e.Order], slices.IndexFunc(w.runs, func(r *run) bool { return r.id == e.App })
	delete(w.prepared, e.Order)
	delete(w.held, e.Order)
	if !w.runs[i].ended {
		w.fault("a run of %s is exchanged that has not ended", next.config.name)
	}
	w.say("exchange %s", next.config.name)
	w.runs[i] = next
	if !next.waiting {
		w.pool(next, pool.Start{})
	}
}

// pool gives the pool of a run an event, and the book what is recorded.
func (w *world) pool(r *run, ev pool.Event) {
	switch ev := ev.(type) {
	case pool.Spawned:
		r.pids[ev.ID] = ev.PID
		r.awaited = slices.DeleteFunc(r.awaited, func(id pool.WorkerID) bool { return id == ev.ID })
	case pool.SpawnFailed:
		r.awaited = slices.DeleteFunc(r.awaited, func(id pool.WorkerID) bool { return id == ev.ID })
	case pool.Exited:
		delete(r.pids, ev.ID)
	}
	for _, e := range r.pool.Step(w.now, ev) {
		switch e := e.(type) {
		case pool.Spawn:
			r.awaited = append(r.awaited, e.ID)
			r.lastID, r.slots[e.ID] = max(r.lastID, e.ID), e.Slot
			w.say("%s: spawn %d slot=%d gen=%d", r.config.name, e.ID, e.Slot, e.Generation)
		case pool.Drain:
			w.say("%s: drain %d (%s)", r.config.name, e.ID, e.Reason)
		case pool.Signal:
			w.say("%s: signal %d kill=%t (%s)", r.config.name, e.ID, e.Kill, e.Reason)
		case pool.Record:
			if e.Kind == pool.KindRolloutDone {
				r.previous, r.canBack = true, true
			}
			output := ""
			if e.Kind == pool.KindExited {
				output = fmt.Sprintf("last words of %d", e.ID)
			}
			text := e.Kind.String()
			if e.ID != 0 {
				text = fmt.Sprintf("worker %d %s", e.ID, text)
			}
			w.step(Fact{App: r.id, Record: e, Message: text, Output: output})
		case pool.Done:
			r.ended, r.code, r.reason = true, e.Code, e.Reason
			w.say("%s: ended %d (%s)", r.config.name, e.Code, e.Reason)
		}
	}
}

// rest lets the book judge until it has nothing more to order, and looks whether all is as it must be.
func (w *world) rest() {
	for _, r := range w.runs {
		if r.waiting && !r.blocked && !r.leaving && r.config.needs != "" {
			if d := w.named(r.config.needs); d != nil && !d.ended && d.pool.Settled() {
				r.waiting = false
				w.pool(r, pool.Start{})
			}
		}
	}
	for n := 0; w.step(Tick{}); n++ {
		if n > 4*len(w.book.orders)+8 {
			w.fault("the book does not come to rest")
			return
		}
	}
	if d := w.book.Deadline(); !d.IsZero() && !d.After(w.now) {
		w.fault("an order outlives its deadline")
	}
	if len(w.book.orders) > MaxOrders {
		w.fault("%d orders are under way", len(w.book.orders))
	}
	if !slices.IsSortedFunc(w.book.orders, func(a, b *order) int { return cmp.Compare(a.id, b.id) }) {
		w.fault("the orders are not in the order of their IDs, by which they are found")
	}
	open := map[Request]int{}
	for _, o := range w.book.orders {
		if o.phase.over() || o.phase == placed {
			w.fault("order %d rests in the phase %s", o.id, o.phase)
		}
		open[o.request]++
	}
	for request, left := range w.parts {
		if left != open[request] {
			w.fault("request %d waits for %d results, and has %d orders", request, left, open[request])
		}
	}
	for app, id := range w.book.claims {
		if w.book.find(id) == nil {
			w.fault("order %d has ended and brings the next run of app %d", id, app)
		}
	}
	for id := range w.prepared {
		if w.book.find(id) == nil {
			w.fault("order %d has ended, and what was prepared for it is not closed", id)
		}
	}
	for _, r := range w.runs {
		if r.next != 0 && w.book.claims[r.id] != r.next {
			w.fault("app %s waits for an order that has ended", r.config.name)
		}
		w.slotsAreFilled(r)
	}
}

// slotsAreFilled: only a drain leaves a slot empty.
func (w *world) slotsAreFilled(r *run) {
	for n := range r.pool.Slots() {
		s, _ := r.pool.Slot(n)
		if !s.Held {
			delete(w.holder, r.config.name+" "+strconv.Itoa(n))
		}
		if !s.Held || r.ended || r.leaving || r.pool.Phase() != pool.PhaseRunning {
			continue
		}
		if !slices.ContainsFunc(w.book.orders, func(o *order) bool { return o.app == r.id && o.phase == emptying && *o.Slot == n }) && !w.drained(r, n) {
			w.fault("slot %d of app %s was emptied for a restart, and is not filled", n, r.config.name)
		}
	}
}

func (w *world) drained(r *run, slot int) bool {
	return w.holder[r.config.name+" "+strconv.Itoa(slot)] != 0
}

// place makes a request.
func (w *world) place(o api.Order) {
	w.asked++
	if o.Verb == api.VerbDrain && o.Slot != nil {
		w.holder[o.App+" "+strconv.Itoa(*o.Slot)] = ID(w.asked)
	}
	w.step(Placed{Request(w.asked), o})
}

// open answers an order that waits for its next run.
func (w *world) open(id ID, err error) bool {
	i := slices.Index(w.opening, id)
	if i < 0 {
		return false
	}
	w.opening = slices.Delete(w.opening, i, i+1)
	if err != nil {
		w.step(OpenFailed{id, err})
		return true
	}
	next := w.newRun(config{name: "gone", workers: 1}, 1, 1)
	if o := w.book.find(id); o != nil {
		if old := w.find(o.app); old != nil {
			next = w.newRun(old.config, old.lastID+1, old.pool.Wanted())
		}
	}
	w.prepared[id] = next
	w.step(Opened{id, next.id, next.pool.Wanted()})
	return true
}

// deadline is when a pool or the book wants a tick.
func (w *world) deadline() time.Time {
	next := w.book.Deadline()
	for _, r := range w.runs {
		if at := r.pool.Deadline(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// tick tells the pools whose time has come.
func (w *world) tick() {
	for _, r := range slices.Clone(w.runs) {
		if at := r.pool.Deadline(); !at.IsZero() && !at.After(w.now) {
			w.pool(r, pool.Tick{})
		}
	}
}

// pass lets time go by, with a tick at every deadline.
func (w *world) pass(d time.Duration) {
	until := w.now.Add(d)
	ticks := 0
	for at := w.deadline(); !at.IsZero() && !at.After(until); at = w.deadline() {
		if ticks++; ticks > 100_000 {
			w.fault("the next deadline is %v, again and again", at.Sub(w.begin))
			return
		}
		w.now = at
		w.tick()
		w.rest()
	}
	w.now = until
}

// pause tells that nothing has run for so long until now.
func (w *world) pause(d time.Duration) {
	for _, r := range w.runs {
		w.pool(r, pool.Paused{For: d})
	}
	w.step(Paused{d})
}

func describeError(err error) string {
	if err == nil {
		return "ok"
	}
	text := err.Error()
	if r := (*api.Refusal)(nil); errors.As(err, &r) {
		text = strconv.Itoa(r.Status) + " " + text
		if r.Field != "" {
			text += " field=" + r.Field
		}
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		switch {
		case e.Cancelled:
			text = "cancelled: " + text
		case e.Overdue:
			text = "overdue: " + text
		default:
			text = "failed: " + text
		}
		if e.Worker != 0 {
			text += fmt.Sprintf(" worker=%d slot=%d pid=%d %q", e.Worker, e.Slot, e.PID, e.Output)
		}
	}
	return text
}

func describeProgress(e Progress) string {
	p := e.Progress
	text := fmt.Sprintf("progress %d: %s %s", e.Request, p.App, p.State)
	if p.Slot != nil {
		text += fmt.Sprintf(" slot=%d", *p.Slot)
	}
	if p.Worker != 0 {
		text += fmt.Sprintf(" worker=%d", p.Worker)
	}
	return text + fmt.Sprintf(" %d/%d (%s)", p.Done, p.Total, p.Message)
}

func describePool(ev pool.Event) string {
	switch ev := ev.(type) {
	case pool.Roll:
		if ev.Back {
			return "roll back (" + ev.Reason + ")"
		}
		return "roll (" + ev.Reason + ")"
	case pool.Scale:
		return fmt.Sprintf("scale %d", ev.N)
	case pool.HoldRequests:
		return fmt.Sprintf("hold requests for %s (%s)", ev.For, ev.Reason)
	case pool.PassRequests:
		return "pass requests (" + ev.Reason + ")"
	case pool.Hold:
		return fmt.Sprintf("hold %d (%s)", ev.Slot, ev.Reason)
	case pool.Release:
		return fmt.Sprintf("release %d", ev.Slot)
	}
	return fmt.Sprintf("%#v", ev)
}
