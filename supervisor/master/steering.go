package master

import (
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/listen"
)

// watch has the loop told what is seen at an app's sockets, once for those that
// share them.
func (l *loop) watch(a *crew.App) {
	if a.Sockets.Shared() {
		l.setPulse(a.Sockets)
		return
	}
	l.watchAgain(a)
}

func (l *loop) watchAgain(a *crew.App) {
	s := a.Sockets
	err := s.Watch(pulse(a.Config), func(n listen.Notice, quit <-chan struct{}) {
		select {
		case l.s.inbox <- steerNotice{s, n}:
		case <-quit: // the loop is about to wait for the watcher's end
		case <-l.s.done:
		}
	})
	if err != nil {
		l.logs.Warn().Str("app", a.Name).Err(err).Msg("cannot watch the sockets: stalled workers are noticed only by a signal, and neither request_timeout nor max_requests is kept")
	}
}

// setPulse has the limits of all apps on the sockets checked as often as the one with
// the shortest needs.
func (l *loop) setPulse(s *crew.Sockets) {
	shortest := usualPulse
	for _, a := range l.apps {
		if a.Sockets == s && !a.Ended() {
			shortest = min(shortest, pulse(a.Config))
		}
	}
	s.SetPulse(shortest)
}
