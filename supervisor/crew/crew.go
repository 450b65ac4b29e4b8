package crew

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
)

// Crew carries out what the pools of all apps order, and hears their workers. Its methods are called by the loop alone, but for those
// that say otherwise.
type Crew struct {
	loop Loop
	logs *logs.Logs
}

// New makes the Crew of a loop.
func New(l Loop, logs *logs.Logs) *Crew { return &Crew{loop: l, logs: logs} }

// Message is something that has come from another goroutine for a Crew. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Crew) }

// Loop is what a Crew asks of the loop that it runs in.
type Loop interface {
	// Post hands m to the loop, from any goroutine but the loop's own, and waits while its inbox is full. It reports false when
	// the loop has ended; m is still the caller's then.
	Post(m Message) bool
	// Done is closed when the loop takes no more.
	Done() <-chan struct{}
	// Go runs f in a goroutine that the loop waits for at its end.
	Go(f func())
	// Later has m acted on after d.
	Later(d time.Duration, m Message)

	// Apps are those that are in charge of something, in the order of the config. It is not to be changed.
	Apps() []*App
	// Step gives an app's pool an event, and has the Crew carry out what that orders.
	Step(a *App, ev pool.Event)

	// Event enters e in the book of events. a: the app that it is about; nil: none.
	Event(a *App, level zerolog.Level, e control.Event)

	// Touched, Changed and TouchedWorker have the record and the picture made anew as far as the slots and workers of an app, all of
	// it, or a worker have changed.
	Touched(a *App)
	Changed(a *App)
	TouchedWorker(m *Worker)
}
