package desk

import (
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/signals"
	"golang.org/x/sys/unix"
)

// Desk takes in what callers order, carries out what the book of orders decides, and tells the callers. Its methods are called by the
// loop alone.
type Desk struct {
	loop     Loop
	crew     Crew
	logs     *logs.Logs
	book     *orders.Book
	callers  callers
	prepared map[orders.ID]*nextRun
}

// New makes the Desk of a loop.
func New(l Loop, c Crew, logs *logs.Logs) *Desk {
	return &Desk{
		loop: l, crew: c, logs: logs, book: orders.New(view{l}, signals.Find),
		callers: callers{of: map[orders.Request]*caller{}}, prepared: map[orders.ID]*nextRun{},
	}
}

// Message is something that has come from another goroutine for a Desk. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Desk) }

// Owner is a Message that owns something. Drop gives that up, where the loop has ended before it acted on the message.
type Owner interface {
	Message
	Drop()
}

// Loop is what a Desk asks of the loop that it runs in.
type Loop interface {
	// Post hands m to the loop, from any goroutine but the loop's own, and waits while its inbox is full. It reports false when the
	// loop has ended; m is still the caller's then.
	Post(m Message) bool
	// Go runs f in a goroutine that the loop waits for at its end.
	Go(f func())
	// Rearm says that Deadline may be another one.
	Rearm()
	// Event enters e in the book of events.
	Event(a *crew.App, level zerolog.Level, e api.Event)

	// State is the core that decides between apps. It is for queries; Decide gives it an event and carries out what follows.
	State() *apps.Apps
	Decide(ev apps.Event)
	// Apps are those that are in charge of something. App is that of a run; nil: it is not there any more, or not yet.
	Apps() []*crew.App
	App(id apps.ID) *crew.App
	// Changed has the record and the picture of an app made anew.
	Changed(a *crew.App)
	// Resolved is c with the number of workers that the machine gives it where it names none.
	Resolved(c config.App) config.App
	// Given are the sockets that this process was started with.
	Given() *crew.Given
	// Number gives an app that is open, and its sockets, their keys. Enter describes it to the core.
	Number(a *crew.App)
	Enter(a *crew.App) apps.Opened
}

// Crew is what a Desk has a crew.Crew do.
type Crew interface {
	Step(a *crew.App, ev pool.Event)
	Kill(m *crew.Worker)
	LookSoon(now time.Time)
	CloseSurplus(a *crew.App)
}

// Start gives an order of the master's own to start an app. How it ends is logged if it fails.
func (d *Desk) Start(id apps.ID, reason string) {
	d.crew.LookSoon(time.Now())
	d.step(orders.Own{App: id, Reason: reason})
}

// Follow has the rollouts that a config brings be orders of a caller, which answer, with room for one, is for. The config is then
// carried out, and after that followed is to be called.
func (d *Desk) Follow(reason string, answer chan<- Begun) (followed func()) {
	request := d.callers.add(nil, answer)
	d.step(orders.Follow{Request: request, Reason: reason})
	return func() { d.step(orders.Followed{Request: request}) }
}

// Judge has the orders judged when the apps have come to rest.
func (d *Desk) Judge() {
	for d.book.Len() > 0 && d.step(orders.Tick{}) {
	}
}

// Heard shows the orders what the core of an app has recorded, in the words of the event that tells it.
func (d *Desk) Heard(a *crew.App, r pool.Record, message string) {
	if !d.book.Listens() {
		return
	}
	fact := orders.Fact{App: a.ID(), Record: r, Message: message}
	if r.Kind == pool.KindExited {
		fact.Output = a.LastExit.Lines
	}
	d.step(fact)
}

// Paused: the process has not run for so long. No order is overdue by it.
func (d *Desk) Paused(late time.Duration) { d.step(orders.Paused{For: late}) }

// Deadline is when Judge is to be called next, if nothing happens before; zero: not by time.
func (d *Desk) Deadline() time.Time { return d.book.Deadline() }

// step gives the book an event and carries out what follows. It reports whether anything was done to an app.
func (d *Desk) step(ev orders.Event) (acted bool) {
	effects := d.book.Step(time.Now(), ev)
	for _, e := range effects {
		if !d.callers.tell(e) {
			acted = d.carryOut(e) || acted
		}
	}
	if len(effects) > 0 {
		d.loop.Rearm()
	}
	return acted
}

// carryOut does to an app what the book orders. The book has just looked at the app, so it is there. It reports false for what is
// only told.
func (d *Desk) carryOut(effect orders.Effect) bool {
	switch e := effect.(type) {
	case orders.Warn:
		d.logs.Warn().Str("app", e.App).Str("reason", e.Reason).Err(e.Err).Msg("cannot " + e.Verb + " app")
		return false
	case orders.Do:
		d.loop.Decide(e.Event)
	case orders.Stop:
		if a := d.loop.App(e.App); !a.Ended() {
			d.logs.Info().Str("app", a.Name).Str("reason", e.Reason).Bool("at_once", e.Now).Msg("stopping app")
		}
		d.loop.Decide(apps.StopApp{App: e.App, Now: e.Now})
	case orders.Pool:
		a := d.loop.App(e.App)
		if roll, ok := e.Event.(pool.Roll); ok && roll.Back {
			a.QueueRollback()
		}
		d.crew.Step(a, e.Event)
	case orders.Kill:
		for _, m := range d.loop.App(e.App).InOrder() {
			if m.Slot == e.Slot {
				d.crew.Kill(m)
			}
		}
	case orders.Send:
		d.send(d.loop.App(e.App), e)
	case orders.Open:
		d.open(d.loop.App(e.App), e)
	case orders.Hold:
		d.prepared[e.Order].hold()
	case orders.Exchange:
		d.exchange(e)
	case orders.Close:
		if n := d.prepared[e.Order]; n != nil {
			delete(d.prepared, e.Order)
			n.Drop()
		}
	case orders.Blame:
		if a := d.loop.App(e.App); a != nil { // else a config has taken it out meanwhile
			a.History.Err = e.Err.Error()
			d.loop.Changed(a)
		}
	default:
		panic("desk: effect of an order without a hand to carry it out")
	}
	return true
}

// send sends a signal to one worker or to all.
func (d *Desk) send(a *crew.App, e orders.Send) {
	sig := syscall.Signal(e.Signal)
	name := unix.SignalName(sig)
	var sent []orders.Sent
	for _, m := range a.InOrder() {
		if e.Slot != nil && m.Slot != *e.Slot || m.Process().Send(sig) != nil {
			continue // one that cannot be sent a signal has ended: its exit is on the way
		}
		slot, pid := m.Slot, m.PID()
		sent = append(sent, orders.Sent{Slot: slot, Worker: m.ID, PID: pid})
		d.logs.Info().Str("app", a.Name).Int("slot", slot).Uint64("worker", uint64(m.ID)).Int("pid", pid).
			Str("signal", name).Str("reason", e.Reason).Msg("signal sent")
		d.loop.Event(a, zerolog.InfoLevel, api.Event{Kind: api.EventSignalled, Slot: &slot, Worker: uint64(m.ID), PID: pid,
			Signal: name, Reason: e.Reason, Message: "worker " + strconv.FormatUint(uint64(m.ID), 10) + " was sent " + name})
	}
	d.step(orders.Signalled{Order: e.Order, Sent: sent})
}
