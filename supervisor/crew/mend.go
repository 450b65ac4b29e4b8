package crew

import (
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/talk"
)

// Mend opens anew what of a slot's sockets listens no more, and has the workers replaced that have what it replaces: all but the one
// that is about to get it. nil: all.
func (c *Crew) Mend(s *Sockets, slot int, but *Worker) {
	for _, m := range s.Mend(slot) {
		c.Mended(s, m, but)
	}
}

// Mended takes in that something was made anew while the loop runs: a socket that listened no more, or that lost its file.
func (c *Crew) Mended(s *Sockets, m listen.Mended, but *Worker) {
	c.TellMended(s, m)
	c.RecycleMended(s, m, but)
}

// TellMended logs what was made anew, and has the store and the record keep it: until they have, a crash of this master would lose it.
func (c *Crew) TellMended(s *Sockets, m listen.Mended) {
	c.estate.RemoveFiles(s, m.New...)
	tell := true
	if m.Err == nil {
		s.MendDone(m.Slot)
	} else {
		tell = s.TellDue(m.Slot, time.Now())
	}
	if !tell {
		return
	}
	for a := range c.on(s) {
		c.estate.Changed(a)
		c.estate.SaveSoon()
		slot := "all"
		if m.Slot != listen.AllSlots {
			slot = strconv.Itoa(m.Slot)
		}
		if m.Err != nil {
			c.logs.Error().Str("app", a.Name).Str("slots", slot).Str("reason", m.Why).Err(m.Err).
				Msg(m.What + " is of no use any more and cannot be made anew; it is tried again")
			continue
		}
		if m.Inner {
			c.logs.Warn().Str("app", a.Name).Str("slots", slot).Str("reason", m.Why).Msg(m.What + " was made anew; its worker gets it, nobody else notices")
			continue
		}
		c.loop.Event(a, zerolog.WarnLevel, api.Event{Kind: api.EventMended, Reason: m.Why, Message: m.What + " was made anew"})
		c.logs.Warn().Str("app", a.Name).Str("slots", slot).Str("reason", m.Why).
			Msg(m.What + " was made anew; the workers that had the old one are replaced, nobody else notices")
	}
}

// RecycleMended has the workers replaced that have what was made anew: all but one; nil: all.
func (c *Crew) RecycleMended(s *Sockets, m listen.Mended, but *Worker) {
	if m.Err != nil {
		return // a successor could not listen either
	}
	if m.Inner {
		for a := range c.on(s) {
			for _, w := range a.InOrder() {
				if w != but && w.Slot == m.Slot {
					c.giveInner(w)
				}
			}
		}
		return
	}
	why := m.What + ": " + m.Why
	for a := range c.on(s) {
		for _, w := range a.InOrder() {
			if w == but || w.Talk.Place != talk.Placed || w.Talk.Drains() || w.Slot < 0 || m.Slot != listen.AllSlots && w.Slot != m.Slot {
				continue
			}
			c.loop.Replaced(w, why)
			c.Step(a, pool.Recycle{ID: w.ID, Reason: why})
		}
	}
}
