package master

import (
	"github.com/tinehq/tine/supervisor/listen"
)

func newSockets(set *listen.Set) *sockets {
	return &sockets{Set: set, seats: map[int]seats{}, ending: make(chan struct{}), listens: len(set.Addresses()) > 0}
}

// watch has the loop told what is seen at an app's sockets, once for those that
// share them.
func (l *loop) watch(a *app) {
	s := a.sockets
	if s.shared() {
		l.setPulse(s)
		return
	}
	l.watchAgain(a)
}

func (l *loop) watchAgain(a *app) {
	s, resting := a.sockets, make(chan struct{})
	err := s.Watch(listen.Watch{Pulse: pulse(a.config), Notify: func(n listen.Notice) {
		// Not for ever: the loop may be waiting for the watcher to end.
		select {
		case l.s.inbox <- steerNotice{s, n}:
		case <-resting:
		case <-s.ending:
		case <-l.s.done:
		}
	}})
	if err != nil {
		l.logs.Warn().Str("app", a.name).Err(err).Msg("cannot watch the sockets: stalled workers are noticed only by a signal, and neither request_timeout nor max_requests is kept")
		return
	}
	s.resting = resting
}

// rest ends the watcher until watchAgain.
func (s *sockets) rest() {
	if s.resting != nil {
		close(s.resting)
		s.resting = nil
	}
	s.Rest()
}

// setPulse has the limits of all apps on the sockets checked as often as the one with
// the shortest needs.
func (l *loop) setPulse(s *sockets) {
	shortest := usualPulse
	for _, a := range l.apps {
		if a.sockets == s && !a.ended() {
			shortest = min(shortest, pulse(a.config))
		}
	}
	s.SetPulse(shortest)
}
