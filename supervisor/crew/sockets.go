package crew

import (
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/slots"
)

// Sockets are those of an app, and of the app that replaces it, with what the record and the store have of them.
type Sockets struct {
	*slots.Sockets

	Mended []listen.Mended // when they were adopted, until the loop runs

	Key         int             // in the record for the next master
	Kept        map[string]bool // files that are stored for it
	KeptChanges uint64          // Set.Changes when they were looked at last
	Closing     map[int]bool    // slots whose sockets are closed when the store has none of them any more
	saved       *listen.Saved   // as the record has it; nil: it has not
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
