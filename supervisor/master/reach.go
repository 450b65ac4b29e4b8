package master

import (
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/slots"
)

// lookEvery is the time between two looks at the addresses of an app.
const lookEvery = time.Second

// nextLook is when the addresses are to be looked at; zero: at no time.
func (l *loop) nextLook() time.Time {
	if l.state.Stopping() || !slices.ContainsFunc(l.apps, (*crew.App).LooksAt) {
		return time.Time{}
	}
	return l.lookAt
}

// lookNow has the addresses looked at at once: somebody has given an order, and may have reason to.
func (l *loop) lookNow() { l.lookAt, l.timerStale = time.Now(), true }

// lookAround looks at the addresses of all apps, if it is time to.
func (l *loop) lookAround(now time.Time) {
	if l.state.Stopping() || now.Before(l.lookAt) {
		return
	}
	l.lookAt = now.Add(lookEvery)
	for _, a := range l.apps {
		if s := a.Sockets; a.LooksAt() {
			s.StartLook(l.s.wg.Go, func(k slots.Looked) bool { return l.s.post(looked{s, k}) })
		}
	}
}

// looked is what was seen at the addresses of an app, with the sockets that were made again.
type looked struct {
	sockets *crew.Sockets
	slots.Looked
}

func (k looked) apply(l *loop) {
	for _, m := range k.sockets.Install(k.Looked) {
		l.mended(k.sockets, m, nil)
	}
	changes := k.sockets.Tell(k.Looked)
	for _, a := range l.apps {
		if a.Sockets != k.sockets || a.Ended() {
			continue
		}
		l.show(a)
		for _, c := range changes {
			l.tellReach(a, c)
		}
	}
	l.markStale()
}

// tellReach tells that an address of an app has become unreachable, for another reason, or reachable again.
func (l *loop) tellReach(a *crew.App, c slots.Reach) {
	address := c.Address.String()
	if c.Why == "" {
		l.logs.Info().Str("app", a.Name).Str("address", address).Msg("address is reachable again")
		l.event(a, zerolog.InfoLevel, control.Event{Kind: control.EventReachable, Message: address + " is reachable again"})
		return
	}
	l.logs.Error().Str("app", a.Name).Str("address", address).Str("reason", c.Why).Int("ready", a.Pool.Status().Ready).
		Msg("address is unreachable, whatever the workers say")
	l.event(a, zerolog.ErrorLevel, control.Event{Kind: control.EventUnreachable, Reason: c.Why, Message: address + " is unreachable: " + c.Why})
}
