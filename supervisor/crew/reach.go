package crew

import (
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/slots"
)

// lookEvery is the time between two looks at the addresses of an app.
const lookEvery = time.Second

// nextLook is when the addresses are to be looked at; zero: at no time.
func (c *Crew) nextLook() time.Time {
	if c.loop.Stopping() || !slices.ContainsFunc(c.loop.Apps(), (*App).LooksAt) {
		return time.Time{}
	}
	return c.lookAt
}

// LookSoon has the next Tick look at the addresses: a person has given an order, and may have reason to.
func (c *Crew) LookSoon(now time.Time) { c.lookAt = now }

// lookAround looks at the addresses of all apps, if it is time to. A look waits for the kernel, so it runs in a goroutine.
func (c *Crew) lookAround(now time.Time) {
	if c.loop.Stopping() || now.Before(c.lookAt) {
		return
	}
	c.lookAt = now.Add(lookEvery)
	for _, a := range c.loop.Apps() {
		if s := a.Sockets; a.LooksAt() {
			s.StartLook(c.loop.Go, func(k slots.Looked) bool { return c.loop.Post(looked{s, k}) })
		}
	}
}

// looked is what was seen at the addresses of an app, with the sockets that were made again.
type looked struct {
	sockets *Sockets
	slots.Looked
}

// Drop closes the sockets that were made again.
func (k looked) Drop() { k.Close() }

func (k looked) Act(c *Crew) {
	for _, m := range k.sockets.Install(k.Looked) {
		c.Mended(k.sockets, m, nil)
	}
	c.restoreInner(k.sockets, k.Lost)
	changes := k.sockets.Tell(k.Looked)
	for a := range c.on(k.sockets) {
		c.loop.Show(a) // the record has nothing of it: a look must not have it written
		for _, r := range changes {
			c.tellReach(a, r)
		}
	}
	c.loop.Stale()
}

// tellReach tells that an address of an app has become unreachable, for another reason, or reachable again.
func (c *Crew) tellReach(a *App, r slots.Reach) {
	address := r.Address.String()
	if r.Why == "" {
		c.logs.Info().Str("app", a.Name).Str("address", address).Msg("address is reachable again")
		c.loop.Event(a, zerolog.InfoLevel, api.Event{Kind: api.EventReachable, Message: address + " is reachable again"})
		return
	}
	c.logs.Error().Str("app", a.Name).Str("address", address).Str("reason", r.Why).Int("ready", a.Pool.Status().Ready).
		Msg("address is unreachable, whatever the workers say")
	c.loop.Event(a, zerolog.ErrorLevel, api.Event{Kind: api.EventUnreachable, Reason: r.Why, Message: address + " is unreachable: " + r.Why})
}
