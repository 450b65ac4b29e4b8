package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
)

// event enters e in the book of those that follow. It is called by the loop alone.
func (l *loop) event(a *crew.App, level zerolog.Level, e control.Event) {
	e.Time, e.Level = time.Now().Round(time.Millisecond), level.String()
	if a != nil {
		e.App = a.Name
	}
	e.ID = l.s.book.Add(e)
}

// record notes what a pool has recorded: in the history of the app, in the book, for the orders, and as one line of the log.
func (l *loop) record(a *crew.App, r pool.Record) {
	a.History.Note(r, a.Pool.Status)
	words := ""
	if a.LastExit.ID == r.ID && r.Unasked() {
		words = a.LastExit.Words
	}
	level, event := journal.LevelOf(r), journal.EventOf(r, words)
	l.event(a, level, event)
	l.factForOrders(a, r, event.Message)
	m := a.Members[r.ID]
	journal.WriteLine(l.logs.WithLevel(level).Str("app", a.Name), r, words, m != nil && !m.Greeting)
}

// valueEvent tells of one cached value.
func (l *loop) valueEvent(level zerolog.Level, kind, key, reason string) {
	text := key
	if reason != "" {
		text += ": " + reason
	}
	l.event(nil, level, control.Event{Kind: kind, Reason: reason, Message: text})
}
