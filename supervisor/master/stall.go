package master

import (
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
)

// steerNotice is what the watcher of an app's sockets has seen.
type steerNotice struct {
	sockets *sockets
	notice  listen.Notice
}

func (n steerNotice) apply(l *loop) {
	if n.notice.What == listen.Deaf {
		if n.sockets.MendDue(n.notice.Slot, time.Now()) {
			l.mend(n.sockets, n.notice.Slot, nil)
		}
		return
	}
	for _, a := range l.apps {
		if a.sockets != n.sockets || a.ended() {
			continue
		}
		switch n.notice.What {
		case listen.Stalled:
			if m := a.accepting(n.notice.Slot); m != nil {
				l.stalled(m, slots.ByBoard, n.notice.Why)
			}
		case listen.Resumed:
			for _, m := range a.inOrder() {
				if m.slot == n.notice.Slot {
					l.resumed(m, slots.ByBoard)
				}
			}
		case listen.Pulse:
			l.checkLimits(a)
		case listen.Fell:
			l.event(a, zerolog.WarnLevel, control.Event{Kind: control.EventSteeringFell, Reason: n.notice.Why, Message: "steering fell back to " + string(n.notice.Kind)})
			l.logs.Warn().Str("app", a.name).Str("steering", string(n.notice.Kind)).Str("reason", n.notice.Why).
				Msg("steering fell back; nothing is lost, new connections are spread less well")
		}
	}
}

// accepting is the worker that takes a slot's connections, or nil.
func (a *app) accepting(slot int) (found *member) {
	for _, m := range a.members {
		if m.slot == slot && m.ready && !m.drains && (found == nil || m.id > found.id) {
			found = m
		}
	}
	return found
}

func (l *loop) stalled(m *member, by slots.Witness, why string) {
	if m.app.members[m.id] == m && m.stall.See(by) {
		l.step(m.app, pool.Stalled{ID: m.id, Reason: why})
	}
}

func (l *loop) resumed(m *member, by slots.Witness) {
	if m.app.members[m.id] == m && m.stall.Clear(by) {
		l.step(m.app, pool.Resumed{ID: m.id})
	}
}

// inOrder are an app's workers in the order in which they were started, so that what the loop does to all of them has the same order
// each time.
func (a *app) inOrder() []*member {
	return slices.SortedFunc(maps.Values(a.members), func(m, n *member) int { return int(m.id) - int(n.id) })
}
