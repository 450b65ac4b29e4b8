package worker

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
)

// A request of a gateway carries a ticket, by the inner socket: before its handler runs the worker begins the ticket, in memory that the
// gateway looks at too. So a gateway knows of a worker that has died or is stopped which requests it may send to another.
//
//	Tine-Ticket          by the inner socket                      by another
//	none                 runs, counted as direct                  runs, counted as direct
//	begins               runs                                     not looked at, and taken off: runs, counted as direct
//	does not begin       503 with Tine-Not-Begun, nothing runs

// books are the tickets of all apps that the master has told of: the worker's own app, and those that a gateway sends requests to.
// A book stays mapped as long as the process lives, as a request may outlast everything.
type books struct {
	mu   sync.Mutex
	of   map[string]shelved
	own  atomic.Pointer[punch] // nil: the worker has no slot yet, or its app no tickets
	slot int                   // -1: none yet
	seat int
}

type shelved struct {
	book *tickets.Book
	id   socketID
}

// Tickets is the book of an app that this worker is a gateway of, or its own app's; nil: the master has given none. It is for package
// worker/gate. Another one may take its place at any time, and a book that was returned stays usable.
func (w *Worker) Tickets(app string) *tickets.Book {
	w.books.mu.Lock()
	defer w.books.mu.Unlock()
	return w.books.of[app].book
}

// takeTickets takes in a book. It is called by the goroutine that reads the channel.
func (w *Worker) takeTickets(f ipc.Tickets) {
	defer ipc.Discard(f)
	k := &w.books
	k.mu.Lock()
	defer k.mu.Unlock()
	if f.File == nil {
		delete(k.of, f.App)
		k.settle(w)
		return
	}
	id := idOf(f.File)
	if k.of[f.App].id == id {
		return // another master tells of the same
	}
	file, err := ipc.Duplicate(f.File)
	var b *tickets.Book
	if err == nil {
		b, err = tickets.Open(file)
	}
	if err != nil {
		w.opts.logger.Warn("requests have no tickets: one whose worker dies is not sent again", "app", f.App, "error", err)
		return
	}
	if k.of == nil {
		k.of = map[string]shelved{}
	}
	k.of[f.App] = shelved{b, id}
	k.settle(w)
}

// seated notes the place that the worker has got.
func (k *books) seated(w *Worker, slot, seat int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slot, k.seat = slot, seat
	k.settle(w)
}

// settle has the worker begin tickets once it has a slot and its app's book. It is called with mu held.
func (k *books) settle(w *Worker) {
	b := k.of[w.app].book
	if b == nil || k.slot < 0 || b.Slot(k.slot) == nil {
		k.own.Store(nil)
		return
	}
	k.own.Store(&punch{slot: b.Slot(k.slot), seat: k.seat, over: w.over})
}

// punch begins the tickets of one slot, and shows that the worker runs.
type punch struct {
	slot *tickets.Slot
	seat int
	over <-chan struct{}

	busy    atomic.Bool // a request came since the last beat
	mu      sync.Mutex
	beating bool
}

// stub is what is left of a ticket while its request runs.
type stub struct {
	punch  *punch // nil: nothing is counted
	ticket tickets.Ticket
}

// admit begins a request's ticket, if it has one. false: it is answered, and must not run.
func (b *books) admit(rw http.ResponseWriter, r *http.Request) (stub, bool) {
	p := b.own.Load()
	all, ticketed := r.Header[tickets.Header]
	if ticketed {
		delete(r.Header, tickets.Header)
		ticketed = fromInner(r.Context())
	}
	if p == nil {
		if ticketed {
			refuseTicket(rw)
		}
		return stub{}, !ticketed
	}
	if !p.busy.Load() {
		p.wake()
	}
	if !ticketed {
		p.slot.AddDirect(p.seat, 1)
		return stub{punch: p}, true
	}
	if len(all) == 1 {
		if k, ok := tickets.Parse(all[0]); ok && p.slot.Begin(k, p.seat) {
			return stub{p, k}, true
		}
	}
	refuseTicket(rw)
	return stub{}, false
}

// end is called when the request's handler has returned.
func (s stub) end() {
	switch {
	case s.punch == nil:
	case s.ticket.None():
		s.punch.slot.AddDirect(s.punch.seat, -1)
	default:
		s.punch.slot.End(s.ticket, s.punch.seat)
	}
}

func refuseTicket(rw http.ResponseWriter) {
	rw.Header()[tickets.NotBegun] = []string{"1"}
	rw.WriteHeader(http.StatusServiceUnavailable)
}

// restAfter is how many beats without a request pass before a worker without requests rests.
const restAfter = int(time.Second / tickets.BeatEvery)

// wake notes a request, and starts the beat if it rests.
func (p *punch) wake() {
	p.busy.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.beating {
		p.beating = true
		p.slot.Beat(p.seat, false)
		go p.beat()
	}
}

// beat shows that the worker runs for as long as it has requests, so that a worker at rest wakes no process.
func (p *punch) beat() {
	tick := time.NewTicker(tickets.BeatEvery)
	defer tick.Stop()
	for idle := 0; ; idle++ {
		select {
		case <-tick.C:
		case <-p.over:
			p.slot.Beat(p.seat, true)
			return
		}
		p.slot.Beat(p.seat, false)
		if p.busy.Swap(false) || p.slot.Taken(0) > 0 || p.slot.Direct() > 0 {
			idle = 0
		}
		if idle >= restAfter && p.rest() {
			return
		}
	}
}

func (p *punch) rest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy.Load() { // wake found the beat running, or waits for the lock
		return false
	}
	p.beating = false
	p.slot.Beat(p.seat, true)
	return true
}
