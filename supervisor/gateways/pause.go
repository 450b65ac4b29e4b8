package gateways

import (
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// paused has the members of an app that was paused get no request. What starts or is down stays so: it becomes paused later.
func paused(app *snapshot.App, all []members.Member) []members.Member {
	if app == nil || app.Pool.Requests == nil {
		return all
	}
	p, why := app.Pool.Requests, "until tine resume"
	if !p.Until.IsZero() {
		why = "until " + p.Until.Format(time.TimeOnly)
	}
	if p.Reason != "" {
		why += ": " + p.Reason
	}
	for i := range all {
		if m := &all[i]; m.State == members.Ready {
			m.State, m.Why = members.Paused, why
		}
	}
	return all
}
