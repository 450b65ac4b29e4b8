package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
)

// event enters e in the book of those that follow. It is called by the loop alone.
func (l *loop) event(a *crew.App, level zerolog.Level, e api.Event) {
	e.Time, e.Level = time.Now().Round(time.Millisecond), level.String()
	if a != nil {
		e.App = a.Name
	}
	e.ID = l.s.book.Add(e)
}
