package crew

import (
	"maps"
	"slices"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/supervisor/proc"
)

// An app with inner sockets has a book of tickets, which goes to its own workers and to those of each gateway that passes requests on to
// it: see package ipc/tickets. What a process held of a book is given back when the process has ended, before its successor starts.

// booksOf are the sockets whose books the workers of an app are to have, by the names of their apps.
func (c *Crew) booksOf(a *App) map[string]*Sockets {
	all := map[string]*Sockets{}
	if a.Sockets.Inner() != "" {
		all[a.Name] = a.Sockets
	}
	if g := a.Config.Gateway; g != nil {
		for _, name := range g.To {
			if to := c.loop.Find(name); to != nil && to.Sockets.Inner() != "" {
				all[name] = to.Sockets
			}
		}
	}
	return all
}

// giveTickets gives a worker the books that it is to have and has not, and tells it of those that are gone.
func (c *Crew) giveTickets(m *Worker) {
	if m.Slot < 0 || !m.Open() {
		return
	}
	want := c.booksOf(m.App)
	for name := range m.books {
		if want[name] == nil && c.send(m, ipc.Tickets{App: name}) {
			delete(m.books, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		id := want[name].Book()
		if id == 0 || m.books[name] == id {
			continue
		}
		f, err := want[name].ShareBook()
		if outOfFiles(err) {
			c.loop.Later(placeAgain, gateNow{m})
			return
		}
		if err != nil {
			m.In(c.logs.Error()).Err(proc.AsLimit(err)).Str("of", name).Msg("cannot give worker the tickets: requests have none")
			continue
		}
		if !c.send(m, ipc.Tickets{App: name, File: f}) {
			return
		}
		if m.books == nil {
			m.books = map[string]uint64{}
		}
		m.books[name] = id
	}
}

// giveTicketsTo gives the books to all workers of an app that have a slot.
func (c *Crew) giveTicketsTo(a *App) {
	for _, m := range a.InOrder() {
		c.giveTickets(m)
	}
}

// giveAllTickets gives the books to the workers of all gateways: those of their targets are others.
func (c *Crew) giveAllTickets() {
	for _, a := range c.loop.Apps() {
		if a.Config.Gateway != nil && !a.Ended() {
			c.giveTicketsTo(a)
		}
	}
}

// sweepAfter gives back what a worker held of tickets as the worker of a gateway, which has just ended. What it began as a worker of its own
// app is given back with its seat.
func (c *Crew) sweepAfter(m *Worker) {
	_, own := m.books[m.App.Name]
	if m.App.Config.Gateway != nil || len(m.books) > 1 || len(m.books) == 1 && !own {
		c.SweepTickets()
	}
}

// SweepTickets gives back what processes held of tickets, as workers of gateways, that have ended. It is called by the loop, or by a master
// that takes over when it has all workers.
func (c *Crew) SweepTickets() {
	alive := map[tickets.Owner]bool{}
	for _, a := range c.loop.Apps() {
		for _, m := range a.Members {
			alive[tickets.OwnerOf(uint64(m.PID()))] = true
		}
	}
	for _, a := range c.loop.Apps() {
		if !a.Ended() {
			a.Sockets.SweepTickets(func(o tickets.Owner) bool { return alive[o] })
		}
	}
}
