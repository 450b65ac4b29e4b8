package crew

import (
	"errors"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/talk"
)

// An app that a gateway of the same config passes requests on to has an inner socket in each slot: see listen.Set.SetInner. A worker gets
// that of its slot in a frame of its own, before it is assigned or while it serves, so that an app which becomes a target of a gateway
// needs no other workers. A worker that serves it says so; one that does not is reached by the app's addresses as ever.

// SetInner has the sockets of an app have inner ones where its config, or that of another app on the same sockets, says so, and none
// elsewhere. The workers that are there get them, and the gateways' workers what they need beside. It is called when the config of the app
// has changed.
func (c *Crew) SetInner(a *App) {
	if c.setInner(a) {
		c.giveAllTickets()
		return
	}
	if a.Config.Gateway != nil {
		c.giveTicketsTo(a)
	}
}

// setInner reports whether something has changed.
func (c *Crew) setInner(a *App) bool {
	s := a.Sockets
	wanted := false
	for b := range c.on(s) {
		wanted = wanted || b.Config.Inner
	}
	before, prefix := s.Inner(), ""
	switch {
	case !wanted && before == "":
		return false
	case wanted && before != "" && !s.Shared():
		return false // where it is, whatever the environment of this master says
	case wanted:
		var why string
		var err error
		if prefix, why, err = c.inner(a.Name); err != nil {
			c.logs.Error().Str("app", a.Name).Err(err).Msg("no inner sockets: gateways reach the app by its addresses")
			return false
		}
		if why != "" && before == "" {
			c.logs.Info().Str("app", a.Name).Msg(why)
		}
	}
	if err := s.SetInner(prefix); err != nil {
		c.logs.Error().Str("app", a.Name).Err(proc.AsLimit(err)).Msg("no inner sockets: gateways reach the app by its addresses")
		return false
	}
	for slot := range s.Slots() {
		c.Mend(s, slot, nil) // tells of those that could not be made
	}
	for b := range c.on(s) {
		c.estate.Changed(b)
		for _, m := range b.InOrder() {
			if m.Talk.Place == talk.Placed {
				c.giveGate(m)
			}
		}
	}
	c.estate.SaveSoon()
	return true
}

// giveGate gives a worker what it needs to serve gateways, or to be the worker of one.
func (c *Crew) giveGate(m *Worker) {
	c.giveTickets(m) // first, so that no request comes before
	c.giveInner(m)
}

// giveInner gives a worker its slot's inner socket, or tells it that there is none any more.
func (c *Crew) giveInner(m *Worker) {
	if m.Slot < 0 || m.Talk.Drains() || !m.Open() {
		return
	}
	path, f, err := m.App.Sockets.ShareInner(m.Slot)
	switch {
	case outOfFiles(err):
		c.loop.Later(placeAgain, gateNow{m})
	case errors.Is(err, listen.ErrDeaf): // it comes when it is mended
	case err != nil:
		m.In(c.logs.Error()).Err(err).Msg("cannot give worker its inner socket")
	case f != nil || m.Inner:
		c.send(m, ipc.Inner{Address: path, File: f})
		if f == nil {
			c.innerServed(m, false)
		}
	}
}

// gateNow tries giveGate again, after an attempt for which there were no descriptors.
type gateNow struct{ m *Worker }

func (n gateNow) Act(c *Crew) {
	if n.m.App.Members[n.m.ID] == n.m && !n.m.App.Ended() {
		c.giveGate(n.m)
	}
}

// innerServed takes in whether a worker serves its slot's inner socket.
func (c *Crew) innerServed(m *Worker, serves bool) {
	if serves && m.App.Sockets.Inner() == "" {
		return // it was on its way when the sockets were closed
	}
	if m.Inner != serves {
		m.Inner = serves
		c.estate.TouchedWorker(m)
		c.estate.SaveSoon()
		c.loop.Stale()
	}
}

// restoreInner makes inner sockets again whose files, and perhaps their folder, were removed.
func (c *Crew) restoreInner(s *Sockets, lost []int) {
	if len(lost) == 0 {
		return
	}
	for a := range c.on(s) {
		if _, _, err := c.inner(a.Name); err != nil {
			c.logs.Error().Str("app", a.Name).Err(err).Msg("the inner sockets were removed, and cannot be made again for now")
			return
		}
	}
	for _, slot := range lost {
		s.LoseInner(slot)
		c.Mend(s, slot, nil)
	}
}
