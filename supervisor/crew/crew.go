package crew

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/values"
	"github.com/tinehq/tine/supervisor/wake"
)

// Crew carries out what the pools of all apps order, and hears their workers. Its methods are called by the loop alone, but for those
// that say otherwise.
type Crew struct {
	loop     Loop
	estate   Estate
	logs     *logs.Logs
	starter  *Starter
	launch   Launch
	values   *values.Values
	inner    func(app string) (prefix, why string, err error)
	handlers *handlers.Handlers
	outcomes func(app string, message []byte)
	starting int // workers whose Spawned or SpawnFailed is on its way

	memory    memoryCheck
	lookAt    time.Time // when the addresses are looked at next
	unsteered int       // calls of SteerInTime since what is ordered was last carried out
}

// Options are what a Crew is made with.
type Options struct {
	Logs     *logs.Logs
	Pins     *launch.Pins // of all releases
	Estate   Estate
	Values   *values.Values     // of which the workers get all
	Handlers *handlers.Handlers // of what the workers send and ask
	// Outcomes takes a message by which a worker of a gateway tells how requests to members went. It waits for nothing. nil: such a message
	// is the program's.
	Outcomes func(app string, message []byte)
	// Inner makes the folder for the inner sockets of an app and returns the prefix of their paths. why is what a person should know of
	// that; "": nothing.
	Inner func(app string) (prefix, why string, err error)
	// Launch takes the place of Starter.Start: a test's workers need no process. nil: Starter.Start.
	Launch Launch
}

// Launch starts a worker of a generation, and posts Spawned or SpawnFailed. It runs in a goroutine of its own. ctx ends the hook
// before_start.
type Launch func(s *Starter, ctx context.Context, m *Worker, g *launch.Generation)

// New makes the Crew of a loop.
func New(l Loop, o Options) *Crew {
	c := &Crew{loop: l, estate: o.Estate, logs: o.Logs, starter: &Starter{Inbox: l, logs: o.Logs, pins: o.Pins, keep: o.Estate.StoreWorker}, launch: o.Launch, values: o.Values, handlers: o.Handlers, inner: o.Inner, outcomes: o.Outcomes, lookAt: time.Now()}
	if c.launch == nil {
		c.launch = (*Starter).Start
	}
	return c
}

// Starter starts the processes of the Crew's workers.
func (c *Crew) Starter() *Starter { return c.starter }

// Starting counts the workers that are being started: whether that has worked is on its way.
func (c *Crew) Starting() int { return c.starting }

// Deadline is when Tick has something to do; zero: at no time.
func (c *Crew) Deadline(now time.Time) time.Time {
	return wake.Earliest(c.memory.next(now, slices.ContainsFunc(c.loop.Apps(), (*App).limitsMemory)), c.nextLook())
}

// Tick does what is due: it looks at the workers' memory, and at the addresses.
func (c *Crew) Tick(now time.Time) {
	c.checkMemory(now)
	c.lookAround(now)
}

// on are the apps on the sockets that have not ended.
func (c *Crew) on(s *Sockets) iter.Seq[*App] {
	return func(yield func(*App) bool) {
		for _, a := range c.loop.Apps() {
			if a.Sockets == s && !a.Ended() && !yield(a) {
				return
			}
		}
	}
}

// Message is something that has come from another goroutine for a Crew. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Crew) }

// Owner is a Message that owns something. Drop gives that up, where the loop has ended before it acted on the message.
type Owner interface {
	Message
	Drop()
}

// Inbox is what goroutines beside the loop may use of it.
type Inbox interface {
	// Post hands m to the loop, from any goroutine but the loop's own, and waits while its inbox is full. It reports false when
	// the loop has ended; m is still the caller's then.
	Post(m Message) bool
	// PostUntil is Post that also gives up when quit is closed.
	PostUntil(quit <-chan struct{}, m Message) bool
	// Done is closed when the loop takes no more.
	Done() <-chan struct{}
	// Go runs f in a goroutine that the loop waits for at its end.
	Go(f func())
}

// Loop is what a Crew asks of the loop that it runs in.
type Loop interface {
	Inbox
	// Later has m acted on after d.
	Later(d time.Duration, m Message)
	// Context ends with the loop, or when a stop has no time left for what runs beside it.
	Context() context.Context

	// Apps are those that are in charge of something, in the order of the config. It is not to be changed.
	Apps() []*App
	// Decide gives the core of the apps an event. What follows is carried out before Decide returns, unless it is called while what
	// follows from another event is carried out: then after that.
	Decide(ev apps.Event)
	// Yields says whether another app decides how the sockets of a are steered: the one that a replaces, until that leaves.
	Yields(a *App) bool
	// Stopping says whether the master is to end.
	Stopping() bool

	// Event enters e in the book of events. a: the app that it is about; nil: none.
	Event(a *App, level zerolog.Level, e api.Event)
	// Noted tells the orders that are under way what a pool has recorded, and text, which says it in words.
	Noted(a *App, r pool.Record, text string)

	// Show has the picture of an app made anew. Stale has a new picture made, and the process above told, as something has changed that
	// belongs to no app.
	Show(a *App)
	Stale()
	// Replaced notes, while this master takes over from another one, that a worker does not go on as it was.
	Replaced(m *Worker, why string)
	// Find returns the app of that name that is to stay, or nil.
	Find(name string) *App
}

// Estate is what a Crew asks of what the master leaves for the next one.
type Estate interface {
	// Touched, Changed and TouchedWorker have the record and the picture made anew as far as the slots and workers of an app, all of
	// it, or a worker have changed.
	Touched(a *App)
	Changed(a *App)
	TouchedWorker(m *Worker)
	// SaveChanged writes what has changed to the record for the next master, and SaveSoon does so when a burst of messages is over.
	SaveChanged()
	SaveSoon()

	// StoreWorker stores what the next master needs of a worker. It is called in the goroutine that has started the worker, before
	// the loop knows that the worker exists, and may wait. WorkerStored gets what it has returned, in the loop.
	StoreWorker(m *Worker) error
	WorkerStored(m *Worker, err error)
	// RemoveWorker takes the files of a worker that has ended out of the store.
	RemoveWorker(m *Worker)
	// RemoveFiles takes those files of sockets, by their names, out of the store. The next save stores what takes their place.
	RemoveFiles(s *Sockets, names ...string)
	// RemoveSockets takes all files of sockets that are about to be closed out of the store.
	RemoveSockets(s *Sockets)
	// CloseSlot closes the sockets of the last slot when the store has none of them any more, and KeepSlot calls that off.
	CloseSlot(s *Sockets, slot int)
	KeepSlot(s *Sockets, slot int)
}
