package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
)

// steerNotice is what the watcher of an app's sockets has seen.
type steerNotice struct {
	sockets *crew.Sockets
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
		if a.Sockets != n.sockets || a.Ended() {
			continue
		}
		switch n.notice.What {
		case listen.Stalled:
			if m := a.Accepting(n.notice.Slot); m != nil {
				l.stalled(m, slots.ByBoard, n.notice.Why)
			}
		case listen.Resumed:
			for _, m := range a.InOrder() {
				if m.Slot == n.notice.Slot {
					l.resumed(m, slots.ByBoard)
				}
			}
		case listen.Pulse:
			l.checkLimits(a)
		case listen.Fell:
			l.event(a, zerolog.WarnLevel, control.Event{Kind: control.EventSteeringFell, Reason: n.notice.Why, Message: "steering fell back to " + string(n.notice.Kind)})
			l.logs.Warn().Str("app", a.Name).Str("steering", string(n.notice.Kind)).Str("reason", n.notice.Why).
				Msg("steering fell back; nothing is lost, new connections are spread less well")
		}
	}
}

func (l *loop) stalled(m *crew.Worker, by slots.Witness, why string) {
	if m.App.Members[m.ID] == m && m.Stall.See(by) {
		l.step(m.App, pool.Stalled{ID: m.ID, Reason: why})
	}
}

func (l *loop) resumed(m *crew.Worker, by slots.Witness) {
	if m.App.Members[m.ID] == m && m.Stall.Clear(by) {
		l.step(m.App, pool.Resumed{ID: m.ID})
	}
}
