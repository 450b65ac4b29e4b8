package worker

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/tickets"
)

func newBook(t testing.TB) *tickets.Book {
	t.Helper()
	b, err := tickets.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func bookFrame(t testing.TB, app string, b *tickets.Book) ipc.Tickets {
	t.Helper()
	f, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	return ipc.Tickets{App: app, File: f}
}

func reserve(t testing.TB, s *tickets.Slot) tickets.Ticket {
	t.Helper()
	k, ok := s.Reserve(1, 8)
	if !ok {
		t.Fatal("no row is free")
	}
	return k
}

func withTicket(all ...any) string {
	text := "GET / HTTP/1.1\r\nHost: x\r\n"
	for _, k := range all {
		text += fmt.Sprintf("Tine-Ticket: %v\r\n", k)
	}
	return text + "\r\n"
}

// The tickets of requests by the inner socket begin before the handler runs and end with it, whichever of assign, inner and tickets
// comes first. What does not begin is not run. By the listeners no ticket counts.
func TestTickets(t *testing.T) {
	for _, order := range []string{"tickets first", "tickets last"} {
		t.Run(order, func(t *testing.T) {
			w, m := withMaster(t, nil)
			book := newBook(t)
			slot := book.Slot(2)
			runs := make(chan http.Header, 1)
			finish := make(chan bool)
			served := make(chan error, 1)
			go func() {
				served <- w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					runs <- r.Header
					if !<-finish {
						panic(http.ErrAbortHandler)
					}
				}))
			}()
			s := newInnerSocket(t)
			assign := m.assignment()
			assign.Seat = 1
			if order == "tickets first" {
				m.send(bookFrame(t, "web", book), s.frame(), assign)
			} else {
				m.send(s.frame(), assign, bookFrame(t, "web", book))
			}
			said := map[string]bool{}
			for range 2 { // in any order: the socket may come when the worker is ready
				said[fmt.Sprintf("%T", eventually.Receive(t, "what the worker says", m.frames))] = true
			}
			if !said["ipc.Inner"] || !said["ipc.Ready"] {
				t.Fatalf("the worker said %v", said)
			}
			eventually.True(t, "the worker has its book", func() bool { return w.books.own.Load() != nil })

			k := reserve(t, slot)
			c := s.dial()
			c.write(withTicket(k))
			if h := <-runs; slot.State(k) != tickets.Begun || h[tickets.Header] != nil || slot.Taken(8) != 1 {
				t.Errorf("the ticket is in state %d while its request runs, which sees %v", slot.State(k), h)
			}
			if !slot.Beats(ipc.Monotonic()) {
				t.Error("a worker with a request does not beat")
			}
			finish <- true
			if res, _ := c.answer(); res.StatusCode != 200 {
				t.Errorf("answered %s", res.Status)
			}
			slot.Release(k)
			if slot.Taken(8) != 0 {
				t.Error("the request is over, and its row is taken")
			}

			withdrawn, old, left := reserve(t, slot), k, reserve(t, slot)
			slot.Withdraw(withdrawn)
			unknown := reserve(t, slot)
			slot.Release(unknown)
			for what, all := range map[string][]any{
				"withdrawn": {withdrawn}, "over": {old}, "given up": {unknown}, "of another slot": {reserve(t, book.Slot(1))},
				"rubbish": {"rubbish"}, "empty": {""}, "two": {left, left},
			} {
				c.write(withTicket(all...))
				if res, body := c.answer(); res.StatusCode != 503 || res.Header.Get(tickets.NotBegun) != "1" || body != "" {
					t.Errorf("%s: answered %s %v %q", what, res.Status, res.Header, body)
				}
			}
			if slot.State(withdrawn) != tickets.Unknown || slot.State(left) != tickets.Sent || slot.Begun() != 1 {
				t.Errorf("withdrawn is %d, the one that came twice %d, %d have begun", slot.State(withdrawn), slot.State(left), slot.Begun())
			}

			c.write(withTicket(left)) // its gateway goes while it runs, and the handler panics
			<-runs
			slot.Release(left)
			if slot.Taken(8) != 1 {
				t.Error("a request runs, and has no row")
			}
			finish <- false
			c.closed()
			eventually.True(t, "the row is free", func() bool { return slot.Taken(8) == 0 })

			k = reserve(t, slot)
			direct := dial(t, assign.Listeners[0].Address)
			direct.write(withTicket(k))
			if h := <-runs; h[tickets.Header] != nil || slot.State(k) != tickets.Sent || slot.Direct() != 1 {
				t.Errorf("a client's ticket: the handler sees %v, state %d, %d direct", h, slot.State(k), slot.Direct())
			}
			finish <- true
			direct.answer()
			c = s.dial()
			c.write(request)
			if <-runs; slot.Direct() != 1 {
				t.Errorf("%d direct requests by the inner socket", slot.Direct())
			}
			finish <- true
			c.answer()
			slot.Release(k)
			eventually.True(t, "the worker rests", func() bool { // the beat is 0 then
				return slot.Direct() == 0 && slot.Beats(1<<62)
			})
			c.write(request)
			<-runs
			if slot.Beats(1 << 62) {
				t.Error("a worker with a request rests")
			}
			finish <- true
			c.answer()
			m.send(ipc.Drain{Reason: "test", Handover: true})
			expect[ipc.Bye](m)
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// A worker whose app has no tickets, any more or that it can read, begins none: it does not know whether they were withdrawn.
func TestNoTickets(t *testing.T) {
	w, m := withMaster(t, nil)
	go w.Serve(whence)
	s := newInnerSocket(t)
	file, err := ipc.NewMemory("rubbish", tickets.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m.assign()
	m.send(s.frame(), ipc.Tickets{App: "web", File: file})
	book := newBook(t)
	c := s.dial()
	k := reserve(t, book.Slot(2))
	refused := func() bool {
		c.write(withTicket(k))
		res, _ := c.answer()
		return res.StatusCode == 503 && res.Header.Get(tickets.NotBegun) == "1"
	}
	if !refused() || w.Tickets("web") != nil {
		t.Error("a ticket begins in a worker that has no book")
	}
	if got := c.ask(); got != "true" {
		t.Errorf("a request without a ticket is answered %q", got)
	}
	m.send(bookFrame(t, "web", book), bookFrame(t, "other", newBook(t)))
	eventually.True(t, "the book of another app is there", func() bool { return w.Tickets("other") != nil })
	own := w.Tickets("web")
	if refused() || own == nil {
		t.Error("a ticket does not begin")
	}
	m.send(bookFrame(t, "web", book), ipc.Tickets{App: "other"})
	eventually.True(t, "the book of another app is gone", func() bool { return w.Tickets("other") == nil })
	if w.Tickets("web") != own {
		t.Error("the same book was mapped twice")
	}
	m.send(ipc.Tickets{App: "web"})
	eventually.True(t, "the book is gone", func() bool { return w.Tickets("web") == nil })
	if !refused() {
		t.Error("a ticket begins in a worker whose book is gone")
	}
}

// BenchmarkTicket is what a ticket adds to a request: "none" is a request of an app without tickets.
func BenchmarkTicket(b *testing.B) {
	for _, how := range []string{"none", "direct", "ticket"} {
		b.Run(how, func(b *testing.B) {
			book, err := tickets.Create()
			if err != nil {
				b.Fatal(err)
			}
			over := make(chan struct{})
			defer close(over)
			all := &books{of: map[string]shelved{"": {book: book}}, slot: 0}
			if how != "none" {
				all.settle(&Worker{over: over})
			}
			slot := book.Slot(0)
			inHandler(b, func(rw http.ResponseWriter, r *http.Request) {
				if how == "ticket" {
					r = r.WithContext(context.WithValue(r.Context(), innerKey{}, true))
				}
				rw.WriteHeader(http.StatusOK)
				b.ReportAllocs()
				k, _ := slot.Reserve(1, 8)
				text := []string{k.String()}
				for b.Loop() {
					if how == "ticket" { // which has a reservation in it, as the row must be sent each time
						slot.Release(k)
						k, _ = slot.Reserve(1, 1)
						text[0] = k.String()
						r.Header[tickets.Header] = text
					}
					s, _ := all.admit(rw, r)
					s.end()
				}
			})
		})
	}
}
