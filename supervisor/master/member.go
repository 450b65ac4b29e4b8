package master

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/succession"
)

// leftUnheard is the reason of a worker that has left when no master was there to hear one.
const leftUnheard = "left while no master heard it"

// member is a worker as the loop knows it: its process, and what the loop must remember of it. The loop owns it once spawned has been
// posted.
type member struct {
	*handle.Worker // nil: its process is not started yet, or has ended before this master

	app        *app
	id         pool.WorkerID
	slot       int // -1: a standby
	generation int

	adopted   bool             // from an earlier master
	savedSeat int              // that it has, by the record of that master; -1: none
	stray     bool             // in no record of that master
	unreached error            // why it could not be
	placed    bool             // it has been given its slot
	unjudged  *succession.Exit // it has ended, and the next master in charge judges that

	greeting   bool // it said hello
	subscribed bool // the snapshot is on its way, so that changes go to it too
	ready      bool // it said so
	greeted    bool // it got "Worker PID"
	left       bool // it said Bye: that its channel ends is in order
	ended      bool // that it has ended is known
	drains     bool // it was told to, or does so of its own accord

	seat   *slots.Seat // its row of the scoreboard; nil: it has none
	stall  slots.Stall // who sees that it stands still
	over   bool        // it reached a limit: its replacement is queued
	jitter float64     // -1 to 1: its own share of the jitter of its limits

	stdout, stderr atomic.Pointer[logs.Prefix]

	delayed bool // it waits for its sockets, which this process has no descriptors for
	running int  // its own calls that are being answered
}

// handleOptions are what the worker's handle needs of this master.
func (s *Supervisor) handleOptions(m *member) handle.Options {
	return handle.Options{
		Post: func(f handle.Fact) bool { return s.post(fact{m, f}) },
		Done: s.done,
		Go:   s.wg.Go,
		Output: func(pid int) (stdout, stderr handle.Output) {
			m.name(pid)
			return s.logs.Outlet(&m.stdout), s.logs.Outlet(&m.stderr)
		},
	}
}

// launch starts the process of a Spawn effect, posts what came of it, and follows it. It runs in a goroutine of its own, since
// an exec may wait for a disk.
func (s *Supervisor) launch(ctx context.Context, m *member, g *launch.Generation) {
	err := s.prepare(ctx, m, g)
	if err == nil {
		err = s.start(m, g)
	}
	if err != nil {
		s.post(spawnFailed{app: m.app, id: m.id, err: proc.AsLimit(err)})
		return
	}
	follow := m.Follow()
	if err := s.keepWorker(m); err != nil {
		s.post(workerNotKept{m, err})
	}
	if !s.post(spawned{m}) {
		m.Abandon()
		return
	}
	follow()
}

// workerNotKept is logged by the loop.
type workerNotKept struct {
	m   *member
	err error
}

func (w workerNotKept) apply(l *loop) {
	l.keepFailed(succession.WorkerName(w.m.app.key, w.m.id), w.err)
}

func (s *Supervisor) start(m *member, g *launch.Generation) error {
	recipe, err := g.Startable(s.pins)
	if err != nil {
		return err
	}
	if text, harmless := recipe.Command.Drift(); text != "" && !g.Drifted.Load() {
		s.post(drift{m.app, g, text, harmless})
	}
	// A slice of its own: the recipe is every worker's of the generation, and they start at the same time.
	recipe.Command.Env = slices.Concat(recipe.Command.Env, m.ownEnv())
	m.Worker, err = handle.Start(recipe.Command, recipe.Bound(m.slot), s.handleOptions(m))
	return err
}

// name sets the name that the lines of the worker's output have in the log.
func (m *member) name(pid int) {
	m.stdout.Store(logs.NewPrefix(m.app.name, m.slot, uint64(m.id), pid, "stdout"))
	m.stderr.Store(logs.NewPrefix(m.app.name, m.slot, uint64(m.id), pid, "stderr"))
}

// dropChannel ends the channel from this side and fails the calls that wait.
func (m *member) dropChannel(why string) {
	m.CloseChannel(why)
	m.subscribed = false
}

// deaf reports whether a worker is a program that knows nothing of its channel, and may
// leave it unread or close it.
func (m *member) deaf() bool { return m.app.config.OneShot && !m.greeting }
