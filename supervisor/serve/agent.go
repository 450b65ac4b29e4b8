package serve

import (
	"cmp"
	"context"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// agentName names the listener of HAProxy's agent-check.
const agentName = "agent-check"

// serveAgent begins to answer HAProxy's agent-check where the config has an address for it. What HAProxy sends first (agent-send) is the name of
// an app; where it sends nothing, the answer is for all apps together.
func (s *Server) serveAgent() (close func()) {
	address := s.Health.Agent
	if address == "" {
		s.Handover.drop(KeptTCP + agentName)
		return func() {}
	}
	l, err := s.Handover.listen(agentName, address)
	if err != nil {
		s.log.Warn().Str("address", address).Err(err).Msg("no " + agentName)
		return func() {}
	}
	s.log.Info().Str("address", l.Addr().String()).Msg(agentName)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := checks.Respond(ctx, l, func(app string) string { return s.sayAgent(ctx, app) }); err != nil {
			s.log.Error().Str("address", address).Err(err).Msg(agentName + ": ended")
		}
	}()
	return func() { cancel(); <-ended }
}

func (s *Server) sayAgent(ctx context.Context, app string) string {
	m, err := s.fresh(ctx)
	if err != nil {
		return checks.Answer(checks.App{Why: "the master does not answer: " + err.Error()})
	}
	return checks.Answer(agentOf(m, app))
}

// agentOf is how an app is, or, where name is "", all that listen together: down where /readyz is not well.
func agentOf(m *snapshot.Master, name string) (all checks.App) {
	var names []string
	found := false
	for _, a := range m.Listed {
		names = append(names, a.Name)
		if name != "" && a.Name != name || name == "" && !a.Listens {
			continue
		}
		found = true
		all.Wanted, all.Ready = all.Wanted+a.Pool.Wanted, all.Ready+a.Pool.Ready
		if name != "" {
			all.MaxInFlight, all.Draining = a.MaxInFlight, a.Leaving
		}
		if serves, text := judgeApp(a, m.Stopping); !serves || a.Leaving {
			all.Why = cmp.Or(all.Why, a.Name+": "+text)
		}
	}
	switch {
	case m.Stopping:
		all.Draining, all.Why = true, "tine is stopping"
	case !found && name != "":
		all.Why = "there is no app " + config.Shorten(name)
		if near := config.Suggest(name, names); near != "" {
			all.Why += ": did you mean " + near + "?"
		}
	case all.Why != "" && !all.Draining:
		all.Ready = 0
	}
	return all
}
