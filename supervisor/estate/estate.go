package estate

import (
	"context"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/succession"
)

// Estate is what a master leaves and takes over. Its methods are called by the loop alone, but for those that say otherwise.
type Estate struct {
	loop      Loop
	crew      *crew.Crew
	logs      *logs.Logs
	server    *serve.Server
	values    Values
	next      NextKeeper
	keeper    int                   // PID of the keeper; 0: there is none, or it has ended
	started   *config.Config        // what this process was started with
	inherited map[string][]*os.File // what the last master has left, by name; what is taken is deleted
	pins      *launch.Pins

	store   succession.Store // nil: the master leaves nothing
	*stored                  // in store; nil without one
	ledger  ledger

	keys int  // the last that an app or sockets were given
	left bool // another master is in charge: nothing here is this master's any more

	given      *crew.Given     // that this process was started with; it does not change while the loop runs, so that it can be shared
	adopted    *adopted        // of the last master, until Resume has gone on with it
	rescued    *rescued        // of the last master, if its record is lost
	succession *api.Succession // how this master came to be in charge of workers; nil: it has started all
}

// Options are what an Estate is made with.
type Options struct {
	Config    *config.Config        // what this process was started with
	Store     succession.Store      // nil: the master leaves nothing
	Inherited map[string][]*os.File // what the last master has left, by name; the Estate's from here on
	Keeper    int                   // PID of the keeper above this process; 0: there is none
	Next      NextKeeper
	Server    *serve.Server // hands over what listens for people
	Values    Values
}

// Values are the cached values, as far as another master takes them over.
type Values interface {
	// Files are those that the other master needs, by name.
	Files() map[string]*os.File
	// Rewrite writes all values anew, as another master may have written to the files.
	Rewrite()
}

// New makes the Estate of a loop. Use comes before all else.
func New(l Loop, o Options) *Estate {
	e := &Estate{
		loop: l, started: o.Config, store: o.Store, inherited: o.Inherited, pins: launch.NewPins(nil),
		keeper: o.Keeper, next: o.Next, server: o.Server, values: o.Values, given: &crew.Given{},
	}
	if o.Store != nil {
		e.stored = newStored(o.Store, slices.Collect(maps.Keys(o.Inherited)))
		e.pins = launch.NewPins(e.vault) // stored late: without them a later master has the path
	}
	return e
}

// Pins are the files of releases. They may be used by any goroutine.
func (e *Estate) Pins() *launch.Pins { return e.pins }

// NewKey is a number that no app and no sockets have had, of this master or an earlier one.
func (e *Estate) NewKey() int {
	e.keys++
	return e.keys
}

// Number gives an app that runs from here on, and its sockets, their keys.
func (e *Estate) Number(a *crew.App) {
	a.Key = e.NewKey()
	if a.Sockets.Key == 0 {
		a.Sockets.Key = e.NewKey()
	}
}

// Left reports whether another master is in charge. Nothing here is this master's any more then.
func (e *Estate) Left() bool { return e.left }

// SetLeft notes that another master is in charge.
func (e *Estate) SetLeft() { e.left = true }

// Use says whose workers are taken over, and where the log goes.
func (e *Estate) Use(c *crew.Crew, l *logs.Logs) { e.crew, e.logs = c, l }

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
	// Context ends with the loop.
	Context() context.Context

	// Apps are those that are in charge of something, in the order of the config. It is not to be changed.
	Apps() []*crew.App
	// Event enters e in the book of events. a: the app that it is about; nil: none.
	Event(a *crew.App, level zerolog.Level, e api.Event)

	// Core decides between the apps.
	Core() Core
	// App is the app of a run; nil: it is forgotten. Listed is the one that is shown by a name; nil: none.
	App(id apps.ID) *crew.App
	Listed(name string) *crew.App
	// Config is what runs.
	Config() *config.Config
	// Rearm has the loop's timer set anew, as a deadline of the Estate may have changed.
	Rearm()

	// Show has the picture that readers look at made anew for an app, Stale for what belongs to no app.
	Show(a *crew.App)
	Stale()

	// GoOnWith applies what has not come to run of the config of the last master, or of one that is lost.
	GoOnWith(c *config.Config)

	// ActUntil waits for a message and acts on it. It reports false when late has a value before.
	ActUntil(late <-chan time.Time) bool
	// Ping tells the process above that this master lives, if that is to be told now and then: how often is what it returns. 0: it is not.
	Ping() (every time.Duration)
	// TakenBack tells the process above that this master is in charge after all.
	TakenBack()
}

// Core is what an Estate looks at of the core of the apps.
type Core interface {
	Ready() bool    // all apps were ready once
	Stopping() bool // the master is to end
	Asked() bool    // as a person has asked for
	StopTimes() (drainAt, endBy time.Time)
}

// line adds to a log line which worker it speaks of.
func line(e *zerolog.Event, m *crew.Worker) *zerolog.Event {
	return e.Str("app", m.App.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Int("pid", m.PID())
}

// workers are those that there are, whether they can be reached or not.
func (e *Estate) workers() iter.Seq[*crew.Worker] {
	return func(yield func(*crew.Worker) bool) {
		for _, a := range e.loop.Apps() {
			for _, m := range a.Members {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// sockets are those of the apps that have not ended, each once.
func (e *Estate) sockets() iter.Seq[*crew.Sockets] {
	return func(yield func(*crew.Sockets) bool) {
		seen := map[*crew.Sockets]bool{}
		for _, a := range e.loop.Apps() {
			if a.Ended() || seen[a.Sockets] {
				continue
			}
			seen[a.Sockets] = true
			if !yield(a.Sockets) {
				return
			}
		}
	}
}
