package master

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/listen"
)

// That workers are ready says nothing of whether a client can reach them: the file of a Unix-domain socket is removed, an
// interface loses its address. So the addresses are looked at where clients come from, see [listen.Set.Look], and a socket that
// has lost its file is made again.

const (
	// lookEvery is the time between two looks at the addresses of an app.
	lookEvery = time.Second
	// renewEvery is the time between two attempts to make a socket again, as long as the same is in the way.
	renewEvery = 3 * time.Second
)

// lookout looks at the addresses of one app. Each has a goroutine of its own while it looks, as a path may be on a disk that
// hangs: nobody else's address is seen later for that.
type lookout struct {
	busy   atomic.Bool // somebody looks, whose the next two are
	seen   []listen.Sight
	failed time.Time // when a socket could not be made again

	told []listen.Sight // what the loop has heard of it; the loop's own
}

// looksAt says whether the app has addresses that a client should reach now.
func (a *app) looksAt() bool { return !a.ended() && !a.run.Waits() && a.sockets.listens }

// nextLook is when the addresses are to be looked at; zero: at no time.
func (l *loop) nextLook() time.Time {
	if l.state.Stopping() || !slices.ContainsFunc(l.apps, (*app).looksAt) {
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
		if s := a.sockets; a.looksAt() && s.lookout.busy.CompareAndSwap(false, true) {
			l.s.wg.Go(func() {
				defer s.lookout.busy.Store(false)
				l.s.lookAt(s)
			})
		}
	}
}

// lookAt posts what has changed, and what it has made again.
func (s *Supervisor) lookAt(of *sockets) {
	o := &of.lookout
	before, now := o.seen, time.Now()
	seen := of.Look(before)
	news := looked{sockets: of}
	for i := range seen {
		sight := &seen[i]
		if !sight.Lost {
			continue
		}
		if i < len(before) && sight.Same(before[i]) && now.Sub(o.failed) < renewEvery {
			sight.Why = before[i].Why
			continue
		}
		r, err := of.Renew(i)
		if err != nil {
			sight.Why, o.failed = fmt.Sprintf("%s: %v", sight.Why, err), now
			continue
		}
		news.renewed = append(news.renewed, renewal{r, sight.Why})
		*sight = listen.Sight{Address: sight.Address}
	}
	if len(news.renewed) == 0 && slices.Equal(seen, before) {
		return
	}
	o.seen, news.seen = seen, slices.Clone(seen)
	if !s.post(news) {
		news.close()
	}
}

// looked is what was seen at the addresses of an app, with the sockets that were made again.
type looked struct {
	sockets *sockets
	seen    []listen.Sight
	renewed []renewal
}

type renewal struct {
	*listen.Renewal
	why string
}

// close gives up what nobody takes.
func (k looked) close() {
	for _, r := range k.renewed {
		r.Close()
	}
}

func (k looked) apply(l *loop) {
	s := k.sockets
	for _, r := range k.renewed {
		if m, ok := s.Install(r.Renewal, r.why); ok {
			l.mended(s, m, nil)
		}
	}
	before := s.lookout.told
	s.lookout.told = k.seen
	for _, a := range l.apps {
		if a.sockets != s || a.ended() {
			continue
		}
		l.show(a)
		for i, now := range k.seen {
			was := ""
			if i < len(before) {
				was = before[i].Why
			}
			l.tellReach(a, now, was)
		}
	}
	l.markStale()
}

// tellReach tells that an address of an app has become unreachable, for another reason, or reachable again.
func (l *loop) tellReach(a *app, now listen.Sight, was string) {
	address := now.Address.String()
	switch {
	case now.Why == was:
	case now.Why == "":
		l.logs.Info().Str("app", a.name).Str("address", address).Msg("address is reachable again")
		l.event(a, zerolog.InfoLevel, control.Event{Kind: control.EventReachable, Message: address + " is reachable again"})
	default:
		l.logs.Error().Str("app", a.name).Str("address", address).Str("reason", now.Why).Int("ready", a.pool.Status().Ready).
			Msg("address is unreachable, whatever the workers say")
		l.event(a, zerolog.ErrorLevel, control.Event{Kind: control.EventUnreachable, Reason: now.Why, Message: address + " is unreachable: " + now.Why})
	}
}
