package gateways

import (
	"context"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// slots is the source of an app of the same master.
type slots struct {
	app      string
	see      func() *snapshot.Master
	pictures *bell
}

// Run tells of the app whenever it has changed.
func (s *slots) Run(ctx context.Context, emit func(fleet.Event)) {
	var told *snapshot.App
	first := true
	for {
		next := s.pictures.wait()
		if m := s.see(); m != nil {
			if app := find(m, s.app); first || app != told {
				first, told = false, app
				emit(fleet.Listed{Members: paused(app, membersOf(app))})
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// find is the app of a name that is in charge of its addresses, in a picture; nil: there is none. What of an app does not change from one
// picture to the next is the same in memory.
func find(m *snapshot.Master, name string) (found *snapshot.App) {
	for _, a := range m.Apps {
		if a.Name == name && !a.Ended {
			found = a // a later one replaces it
		}
	}
	return found
}

// membersOf are the slots of the app, or the app as one member, at the first of its addresses. An app that does not run has none.
func membersOf(app *snapshot.App) []members.Member {
	if app == nil {
		return nil
	}
	if all, ok := slotMembers(app); ok {
		return all
	}
	if len(app.Listen) == 0 {
		return nil
	}
	m := members.Member{ID: app.Name, Type: app.Name, Weight: 1, State: members.Ready, MaxInFlight: app.MaxInFlight * app.Pool.Ready}
	if a, err := listen.Parse(app.Listen[0]); err == nil {
		m.Address = a.Reach()
	}
	switch {
	case app.Leaving:
		m.State, m.Why = members.Draining, "the app is being stopped"
	case app.Pool.Ready > 0:
	case len(app.Workers) > 0:
		m.State, m.Why = members.Starting, "none of its workers is ready"
	default:
		m.State, m.Why = members.Down, "it has no worker"
	}
	return []members.Member{m}
}
