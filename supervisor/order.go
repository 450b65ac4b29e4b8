package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

const (
	// progressKept bounds the steps of an order that its caller has not taken yet. What
	// does not fit is left out; the end of the order never is.
	progressKept = 256
	// orderGrace is what an order may take beyond the times that its app has.
	orderGrace = 10 * time.Second
	// maxOrders bounds those under way: more than one for each app that there may be.
	maxOrders = 2048
)

// order is one that the loop carries out for somebody who waits for its end: of one
// app. All of it belongs to the loop, but the channels.
//
// The loop asks over after each message, so that the end is judged by the facts, and
// gives see each event of the app, for the steps on the way.
type order struct {
	control.Order
	app      string // the order's own App may be empty, for all
	progress chan<- control.Progress
	result   chan<- error // one, with room for it

	see  func(control.Event)
	over func() (done bool, err error)

	total    int
	failed   control.Event // the last failure of a worker that the order depends on
	output   string        // of that worker
	deadline *time.Timer
	due      time.Time // it is overdue, which a pause puts off
	ended    bool
}

// placeOrder is an Order on its way to the loop. The answer is the orders that began,
// by app, or why none did.
type placeOrder struct {
	control.Order
	progress chan control.Progress
	answer   chan<- placed
}

type placed struct {
	results []placedOrder
	err     error
}

type placedOrder struct {
	app    string
	result <-chan error
}

// orderOverdue: an order took longer than all the times of its app together.
type orderOverdue struct{ o *order }

func (m placeOrder) apply(l *loop) {
	apps, err := l.addressees(m.Order)
	if len(l.orders)+len(apps) > maxOrders {
		err = control.Refuse(http.StatusTooManyRequests, "%d orders are under way already", len(l.orders))
	}
	if err != nil {
		m.answer <- placed{err: err}
		return
	}
	var p placed
	for _, a := range apps {
		result := make(chan error, 1)
		o := &order{Order: m.Order, app: a.name, progress: m.progress, result: result}
		l.orders = append(l.orders, o) // before it is begun: its first events are for it
		if len(apps) > 1 && o.passesOver(a) {
			o.ended = true
			o.tell(control.Progress{State: "skipped", Message: "app " + a.name + " is " + pastState(a.state())})
			continue
		}
		if err := l.begin(o, a); err != nil {
			o.ended = true
			if len(apps) == 1 {
				p.err = err
				break
			}
			result <- err
		}
		most := l.patience(a) + orderGrace
		o.due = time.Now().Add(most)
		o.deadline = time.AfterFunc(most, func() { l.s.post(orderOverdue{o}) })
		p.results = append(p.results, placedOrder{a.name, result})
	}
	m.answer <- p
}

// passesOver says whether an order for several apps leaves this one as it is. Of an order for it alone that is an error.
func (o *order) passesOver(a *app) bool {
	back := o.Verb == control.VerbRollback
	switch {
	case o.isForRunning() && a.state() != control.AppRunning:
		return true
	case (back || o.Verb == control.VerbReload) && a.config.OneShot:
		return true
	}
	return back && a.previous == nil && a.pool.Status().Rollout == nil
}

// addressees are the apps that an order is for.
func (l *loop) addressees(o control.Order) ([]*app, error) {
	if len(o.Reason) > api.MaxReason {
		return nil, wrongField("reason", "a reason has at most %d bytes, not %d", api.MaxReason, len(o.Reason))
	}
	if l.stopping && o.Verb != control.VerbStop && o.Verb != control.VerbSignal {
		return nil, control.Refuse(http.StatusConflict, "tine is stopping")
	}
	if o.App != "" {
		a := l.listed(o.App)
		if a != nil {
			return []*app{a}, nil
		}
		if group := l.inNamespace(o.App); len(group) > 0 && o.Slot == nil {
			return group, nil
		}
		return nil, control.Unknown("app", o.App, l.appNames())
	}
	if o.Slot != nil {
		return nil, wrongField("slot", "a slot is of one app: name it")
	}
	return l.allListed(), nil
}

// isForRunning says whether an order to all passes over those that do not run.
func (o *order) isForRunning() bool {
	switch o.Verb {
	case control.VerbReload, control.VerbRollback, control.VerbScale, control.VerbSignal, control.VerbDrain:
		return true
	}
	return false
}

// inNamespace are the apps of a namespace, which an order can name as it does an app.
func (l *loop) inNamespace(name string) (group []*app) {
	for _, a := range l.allListed() {
		if a.config.Namespace == name {
			group = append(group, a)
		}
	}
	return group
}

// listed is the app that goes by a name now, whether it runs or not; nil if none does.
func (l *loop) listed(name string) *app {
	last := l.named[name]
	if l.named == nil {
		for _, a := range slices.Backward(l.apps) {
			if a.name == name { // those before it are replaced
				last = a
				break
			}
		}
	}
	if last == nil || last.gone() {
		return nil
	}
	return last
}

// gone says whether an app has ended by a change of the config.
func (a *app) gone() bool { return a.ended && a.leaving && !a.halted }

// allListed are the apps that are shown. One that is replaced by a namesake is not,
// and not one that is gone by a change of the config.
func (l *loop) allListed() (all []*app) {
	seen := make(map[string]bool, len(l.apps))
	for _, a := range slices.Backward(l.apps) {
		if !seen[a.name] && !a.gone() {
			all = append(all, a)
		}
		seen[a.name] = true
	}
	slices.Reverse(all)
	return all
}

func (l *loop) appNames() (names []string) {
	for _, a := range l.allListed() {
		names = append(names, a.name)
	}
	return names
}

// patience is what one change of an app may take at most: a start of each worker, one
// after the other, with the end of the one before it, twice, for a rollout may wait
// for another.
func patience(c config.App) time.Duration {
	one := c.ReadyTimeout + c.DrainDelay + c.DrainTimeout + 2*c.KillAfter
	attempts := max(c.StartLimit, 1)
	return 2*one*time.Duration(max(c.Slots(), 1)) + (c.ReadyTimeout+c.Backoff.Max)*time.Duration(attempts)
}

// checkOrders ends the orders that are done, or have failed.
func (l *loop) checkOrders() {
	for _, o := range slices.Clone(l.orders) {
		if o.ended || o.over == nil {
			continue
		}
		if done, err := o.over(); done || err != nil && !l.stillSpeaks(o) {
			l.endOrder(o, err)
		}
	}
	l.orders = slices.DeleteFunc(l.orders, func(o *order) bool { return o.ended })
}

func (l *loop) endOrder(o *order, err error) {
	if o.ended {
		return
	}
	o.ended = true
	if o.deadline != nil {
		o.deadline.Stop()
	}
	if err != nil && o.failed.Worker != 0 {
		err = &orderError{err: err, failed: o.failed, output: o.output}
	}
	o.result <- err
}

func (m orderOverdue) apply(l *loop) {
	if left := time.Until(m.o.due); left > 0 && !m.o.ended {
		m.o.deadline.Reset(left)
		return
	}
	l.endOrder(m.o, fmt.Errorf("cannot %s app %s: not done within its own times (%s)", m.o.Verb, m.o.app, patience(l.configOf(m.o.app))))
}

func (l *loop) configOf(name string) config.App {
	if a := l.listed(name); a != nil {
		return a.config
	}
	return config.App{}
}

// orderError is a failure with the worker that it is about.
type orderError struct {
	err    error
	failed control.Event
	output string
}

func (e *orderError) Error() string { return e.err.Error() }
func (e *orderError) Unwrap() error { return e.err }

// stillSpeaks: the worker that failed has not ended yet, which will be soon, and may
// say why.
func (l *loop) stillSpeaks(o *order) bool {
	a := l.listed(o.app)
	return a != nil && !a.ended && o.failed.Worker != 0 && a.members[pool.WorkerID(o.failed.Worker)] != nil
}

// notice shows an order an event of its app.
func (o *order) notice(a *app, e control.Event) {
	if o.see != nil {
		o.see(e)
	}
	if e.Kind == pool.KindExited.String() && e.Worker == o.failed.Worker {
		o.output = a.lastExit.lines
	}
}

// tell adds a step, if there is room.
func (o *order) tell(p control.Progress) {
	p.Time, p.App = time.Now().Round(time.Millisecond), o.app
	if p.Total == 0 {
		p.Total = o.total
	}
	select {
	case o.progress <- p:
	default:
	}
}

// steps are the kinds of events that are a worker's way through an order, with the
// state that it then has.
var steps = map[string]string{
	pool.KindSpawned.String():      "starting",
	pool.KindReady.String():        "ready",
	pool.KindAssigned.String():     "starting",
	pool.KindDraining.String():     "draining",
	pool.KindTerminating.String():  "killing",
	pool.KindKilling.String():      "killing",
	pool.KindExited.String():       "gone",
	pool.KindSpawnFailed.String():  "gone",
	pool.KindReadyTimeout.String(): "killing",
	pool.KindBackoff.String():      "backoff",
	pool.KindDrainTimeout.String(): "draining",
	pool.KindStalled.String():      "stalled",
	pool.KindFinished.String():     "finished",
	pool.KindRetired.String():      "retired",
	pool.KindReleased.String():     "released",
	pool.KindHeld.String():         "draining",
}

// step tells an event that is a step of this order, with how many are done.
func (o *order) step(e control.Event, done int) {
	state, ok := steps[e.Kind]
	if !ok || e.Slot == nil {
		return
	}
	o.tell(control.Progress{Slot: e.Slot, Worker: e.Worker, PID: e.PID, State: state, Message: e.Message, Done: done})
}

// startFailed says whether e is the failure of a worker that never was ready.
func startFailed(e control.Event) bool {
	switch e.Kind {
	case pool.KindSpawnFailed.String(), pool.KindReadyTimeout.String():
		return true
	case pool.KindExited.String():
		return e.Level == zerolog.ErrorLevel.String() // it was not told to go
	}
	return false
}

// wrongField is the refusal of one field of an order.
func wrongField(name, format string, args ...any) *control.Refusal {
	r := control.Refuse(http.StatusUnprocessableEntity, format, args...)
	r.Field = name
	return r
}

// do carries an order out for a caller and waits for its end.
func (s *Supervisor) do(ctx context.Context, ask control.Order, progress func(control.Progress)) error {
	if progress == nil {
		progress = func(control.Progress) {}
	}
	steps := make(chan control.Progress, progressKept)
	p, err := command(s, func(answer chan<- placed) message { return placeOrder{ask, steps, answer} })
	if err != nil {
		return err
	}
	if p.err != nil {
		return p.err
	}
	var failures []error
	var last control.Progress
	take := func(p control.Progress) { last = p; progress(p) }
	for _, part := range p.results {
		err := s.await(ctx, part, steps, take)
		if err != nil && (ctx.Err() != nil || errors.Is(err, control.ErrCut)) {
			return err // the order goes on, and tells nobody
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	final := control.Progress{Time: time.Now().Round(time.Millisecond), App: ask.App, Done: last.Done, Total: last.Total, Final: true, OK: len(failures) == 0}
	if final.OK {
		final.Done = final.Total
	}
	for _, err := range failures {
		final.Error = strings.TrimPrefix(final.Error+"; "+err.Error(), "; ")
		if worker := (*orderError)(nil); errors.As(err, &worker) {
			final.Slot, final.Worker, final.PID, final.Output = worker.failed.Slot, worker.failed.Worker, worker.failed.PID, worker.output
		}
	}
	progress(final)
	if len(failures) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

// await gives progress the steps until one order is over.
func (s *Supervisor) await(ctx context.Context, part placedOrder, steps <-chan control.Progress, progress func(control.Progress)) error {
	var result error
	select {
	case result = <-part.result: // it was over before it began
	default:
		for waiting := true; waiting; {
			select {
			case p := <-steps:
				progress(p)
			case result = <-part.result:
				waiting = false
			case <-ctx.Done():
				return ctx.Err()
			case <-s.done:
				select {
				case result = <-part.result:
				default:
					result = control.ErrCut
				}
				waiting = false
			}
		}
	}
	for { // what was told before the end
		select {
		case p := <-steps:
			progress(p)
		default:
			return result
		}
	}
}
