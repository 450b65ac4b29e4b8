package supervisor

import (
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
)

// steering is how the config wants an app's connections to be steered.
func (c App) steering() listen.Options {
	o := listen.Options{
		Policy: listen.Policy(c.Policy),
		Full:   c.OverloadAt,
		Refuse: c.OnOverload == OverloadRefuse,
	}
	if c.Steering != SteeringAuto {
		o.Best = listen.Kind(c.Steering)
	}
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	o.CPU = func(slot int) int {
		if cpus := c.cpus(slot, allowed, quota); len(cpus) == 1 {
			return cpus[0]
		}
		return -1
	}
	return o
}

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
		if a.sockets == s && !a.ended {
			shortest = min(shortest, pulse(a.config))
		}
	}
	s.SetPulse(shortest)
}
