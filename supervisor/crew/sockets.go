package crew

import (
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/slots"
)

// Sockets are those of an app, and of the app that replaces it.
type Sockets struct {
	*slots.Sockets

	Mended []listen.Mended // when they were adopted, until the loop runs

	Key int // in the record for the next master
}

func NewSockets(set *listen.Set) *Sockets { return &Sockets{Sockets: slots.New(set)} }

// Tally adds what a worker has done to the totals of its slot, so that they go on where it ends, and gives up its seat.
func (a *App) Tally(m *Worker) {
	if m.Seat == nil {
		return
	}
	a.Totals.Add(m.Slot, a.Sockets.Vacate(m.Seat))
	m.Seat = nil
}
