package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
)

// event enters e in the book of those that follow. It is called by the loop alone.
func (l *loop) event(a *crew.App, level zerolog.Level, e control.Event) {
	e.Time, e.Level = time.Now().Round(time.Millisecond), level.String()
	if a != nil {
		e.App = a.Name
	}
	e.ID = l.s.book.Add(e)
}

// valueEvent tells of one cached value.
func (l *loop) valueEvent(level zerolog.Level, kind, key, reason string) {
	text := key
	if reason != "" {
		text += ": " + reason
	}
	l.event(nil, level, control.Event{Kind: kind, Reason: reason, Message: text})
}
