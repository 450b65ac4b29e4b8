package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
)

// event enters e in the book of those that follow. It is called by the loop alone.
func (l *loop) event(a *app, level zerolog.Level, e control.Event) {
	e.Time, e.Level = time.Now().Round(time.Millisecond), level.String()
	if a != nil {
		e.App = a.name
	}
	e.ID = l.s.book.Add(e)
}

// record notes what a pool has recorded: in the history of the app, in the book, for the orders, and as one line of the log.
func (l *loop) record(a *app, r pool.Record) {
	a.history.Note(r, a.pool.Status)
	words := ""
	if a.lastExit.id == r.ID && r.Unasked() {
		words = a.lastExit.words
	}
	level, event := journal.LevelOf(r), journal.EventOf(r, words)
	l.event(a, level, event)
	l.factForOrders(a, r, event.Message)
	m := a.members[r.ID]
	journal.WriteLine(l.logs.WithLevel(level).Str("app", a.name), r, words, m != nil && !m.greeting)
}

// valueEvent tells of one cached value.
func (l *loop) valueEvent(level zerolog.Level, kind, key, reason string) {
	text := key
	if reason != "" {
		text += ": " + reason
	}
	l.event(nil, level, control.Event{Kind: kind, Reason: reason, Message: text})
}
