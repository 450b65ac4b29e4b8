package master

import (
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/signals"
	"golang.org/x/sys/unix"
)

// desk is the loop's side of package orders: the book that decides, the callers that wait, and the next runs that are prepared.
type desk struct {
	book     *orders.Book
	last     orders.Request
	requests map[orders.Request]*waiter
	prepared map[orders.ID]*nextRun
}

// waiter is a caller that waits for the ends of its orders.
type waiter struct {
	progress chan<- control.Progress
	answer   chan<- begun
	results  chan partResult // with room for all
	left     int             // results to come
}

// begun answers placeOrder: how many orders were begun, or why none was.
type begun struct {
	parts   int
	results <-chan partResult
	err     error
}

// partResult is the end of one order of a request.
type partResult struct {
	part int
	err  error
}

func newDesk(l *loop) desk {
	return desk{book: orders.New(ordersView{l}, signals.Find), requests: map[orders.Request]*waiter{}, prepared: map[orders.ID]*nextRun{}}
}

// placeOrder is an order on its way to the loop.
type placeOrder struct {
	control.Order
	progress chan<- control.Progress
	answer   chan<- begun
}

func (m placeOrder) apply(l *loop) {
	l.crew.LookSoon(time.Now())
	l.desk.last++
	l.desk.requests[l.desk.last] = &waiter{progress: m.progress, answer: m.answer}
	l.order(orders.Placed{Request: l.desk.last, Order: m.Order})
}

// orderOwn gives an order of the master's own to start an app. How it ends is logged if it fails.
func (l *loop) orderOwn(id apps.ID, reason string) {
	l.crew.LookSoon(time.Now())
	l.order(orders.Own{App: id, Reason: reason})
}

// judgeOrders has the orders judged when the apps have come to rest.
func (l *loop) judgeOrders() {
	if l.desk.book.Len() == 0 {
		return
	}
	for l.order(orders.Tick{}) {
	}
}

// factForOrders shows the orders what the core of an app has recorded, in the words of the event that tells it.
func (l *loop) factForOrders(a *crew.App, r pool.Record, message string) {
	if !l.desk.book.Listens() {
		return
	}
	fact := orders.Fact{App: a.ID(), Record: r, Message: message}
	if r.Kind == pool.KindExited {
		fact.Output = a.LastExit.Lines
	}
	l.order(fact)
}

// order gives the book an event and carries out what follows. It says whether anything was done to an app.
func (l *loop) order(ev orders.Event) (acted bool) {
	effects := l.desk.book.Step(time.Now(), ev)
	for _, e := range effects {
		if !l.answerOrder(e) {
			l.carryOutOrder(e)
			acted = true
		}
	}
	l.timerStale = l.timerStale || len(effects) > 0
	return acted
}

// answerOrder tells a caller what an effect is about, if that is all that it is.
func (l *loop) answerOrder(effect orders.Effect) bool {
	switch e := effect.(type) {
	case orders.Progress:
		select {
		case l.desk.requests[e.Request].progress <- e.Progress:
		default: // what does not fit is left out; the end never is
		}
	case orders.Refused:
		l.desk.requests[e.Request].answer <- begun{err: e.Err}
		delete(l.desk.requests, e.Request)
	case orders.Begun:
		r := l.desk.requests[e.Request]
		r.results, r.left = make(chan partResult, e.Parts), e.Parts
		r.answer <- begun{parts: e.Parts, results: r.results}
		if e.Parts == 0 {
			delete(l.desk.requests, e.Request)
		}
	case orders.Result:
		r := l.desk.requests[e.Request]
		r.results <- partResult{e.Part, e.Err}
		if r.left--; r.left == 0 {
			delete(l.desk.requests, e.Request)
		}
	case orders.Warn:
		l.logs.Warn().Str("app", e.App).Str("reason", e.Reason).Err(e.Err).Msg("cannot " + e.Verb + " app")
	default:
		return false
	}
	return true
}

// carryOutOrder does to an app what the book orders. The book has just looked at the app, so it is there.
func (l *loop) carryOutOrder(effect orders.Effect) {
	switch e := effect.(type) {
	case orders.Do:
		l.decide(e.Event)
	case orders.Stop:
		if a := l.runOf(e.App); !a.Ended() {
			l.logs.Info().Str("app", a.Name).Str("reason", e.Reason).Bool("at_once", e.Now).Msg("stopping app")
		}
		l.decide(apps.StopApp{App: e.App, Now: e.Now})
	case orders.Pool:
		a := l.runOf(e.App)
		if roll, ok := e.Event.(pool.Roll); ok && roll.Back {
			before := a.GenerationsHeld()
			a.BackTo = a.ReleaseBefore()
			l.crew.DropUnheld(a, before)
		}
		l.step(a, e.Event)
	case orders.Kill:
		for _, m := range l.runOf(e.App).InOrder() {
			if m.Slot == e.Slot {
				l.crew.Kill(m)
			}
		}
	case orders.Send:
		l.sendSignal(l.runOf(e.App), e)
	case orders.Open:
		l.openNext(l.runOf(e.App), e)
	case orders.Hold:
		n := l.desk.prepared[e.Order]
		n.held = true
		n.next.Sockets.Use()
	case orders.Exchange:
		l.exchange(e)
	case orders.Close:
		if n := l.desk.prepared[e.Order]; n != nil {
			delete(l.desk.prepared, e.Order)
			n.close()
		}
	case orders.Blame:
		if a := l.runOf(e.App); a != nil { // else a config has taken it out meanwhile
			a.History.Err = e.Err.Error()
			l.changed(a)
		}
	default:
		panic("master: effect of an order without a hand to carry it out")
	}
}

// sendSignal sends a signal to one worker or to all.
func (l *loop) sendSignal(a *crew.App, e orders.Send) {
	sig := syscall.Signal(e.Signal)
	var sent []orders.Sent
	for _, m := range a.InOrder() {
		if e.Slot != nil && m.Slot != *e.Slot {
			continue
		}
		if err := m.Process().Send(sig); err != nil {
			continue // its exit is on the way
		}
		slot := m.Slot
		sent = append(sent, orders.Sent{Slot: slot, Worker: m.ID, PID: m.PID()})
		l.worker(l.logs.Info(), m).Str("signal", unix.SignalName(sig)).Str("reason", e.Reason).Msg("signal sent")
		l.event(a, zerolog.InfoLevel, control.Event{Kind: control.EventSignalled, Slot: &slot, Worker: uint64(m.ID), PID: m.PID(),
			Signal: unix.SignalName(sig), Reason: e.Reason, Message: "worker " + strconv.FormatUint(uint64(m.ID), 10) + " was sent " + unix.SignalName(sig)})
	}
	l.order(orders.Signalled{Order: e.Order, Sent: sent})
}
