package estate

import (
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
)

// Estate is what a master leaves and takes over. Its methods are called by the loop alone, but for those that say otherwise.
type Estate struct {
	Options
	loop Loop
	logs *logs.Logs
}

// Options are what an Estate is made with.
type Options struct {
	Store     succession.Store      // nil: the master leaves nothing
	Inherited map[string][]*os.File // what the last master has left, by name; those that are taken are deleted
	Vault     *succession.Vault     // gives files to Store; nil: there is none
	Pins      *launch.Pins
}

// New makes the Estate of a loop. LogTo comes before all else.
func New(l Loop, o Options) *Estate { return &Estate{Options: o, loop: l} }

// LogTo says where the log goes.
func (e *Estate) LogTo(l *logs.Logs) { e.logs = l }

// Message is something that has come from another goroutine for an Estate. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Estate) }

// Loop is what an Estate asks of the loop that it runs in.
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
	Apps() []*crew.App
	// Step gives an app's pool an event, and has what that orders carried out.
	Step(a *crew.App, ev pool.Event)
	// Event enters e in the book of events. a: the app that it is about; nil: none.
	Event(a *crew.App, level zerolog.Level, e control.Event)

	// Show has the picture that readers look at made anew for an app, Stale for what belongs to no app.
	Show(a *crew.App)
	Stale()
}
