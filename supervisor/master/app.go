package master

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// app is what the loop keeps for one app: the core that decides, the sockets and
// processes that it decides about, and how each generation is started.
type app struct {
	key         int           // of this app in the record for the next master
	place       int           // among all apps, as the record has it
	saving      saving        // what the record has of it
	recorded    bool          // the record has it
	shown       *snapshot.App // as readers see it; nil: they do not yet
	unshown     bool          // it has changed since
	deadline    time.Time     // of the pool
	waits       bool          // for a worker: see pool.Waits
	name        string
	config      config.App
	pool        *pool.Pool
	sockets     *sockets
	members     map[pool.WorkerID]*member
	ungreeted   map[pool.WorkerID]struct{} // are ready, and were not told that all are
	generations map[int]*launch.Generation
	current     *launch.Generation // of the last rollout that was done; nil: there was none
	previous    *launch.Generation // whose release was the one before; nil: none is remembered
	backTo      *launch.Generation // of a rollback that is queued

	previousUntil time.Time

	steering slots.Steering

	totals   slots.Totals // of the workers that are gone
	lastExit lastExit

	run     *apps.Run     // what the core has decided about it; nil while it is being opened
	stepped *apps.Stepped // what the step of its pool that is under way tells the core; nil: none is

	hooksCtx context.Context // of what only makes sense while the app runs; nil before its start
	endHooks context.CancelFunc
	files    *fileWatch // nil: none

	startWith int // workers, when it is started again; 0: as many as before
	history   journal.History

	// replaces is the app whose sockets it was opened on, to take its place, until the core knows that.
	replaces *app
}

// sockets are those of an app, and of the app that replaces it, with what the record and the store have of them.
type sockets struct {
	*slots.Sockets

	mended []listen.Mended // when they were adopted, until the loop runs

	key         int             // in the record for the next master
	kept        map[string]bool // files that are stored for it
	keptChanges uint64          // Set.Changes when they were looked at last
	closing     map[int]bool    // slots whose sockets are closed when the store has none of them any more
	saved       *listen.Saved   // as the record has it; nil: it has not
}

func newSockets(set *listen.Set) *sockets { return &sockets{Sockets: slots.New(set)} }

// tally adds what a worker has done to the totals of its slot, so that they go on where it ends, and gives up its seat.
func (a *app) tally(m *member) {
	if m.seat == nil {
		return
	}
	a.totals.Add(m.slot, a.sockets.Vacate(m.seat))
	m.seat = nil
}

// lastExit is what the worker that ended last printed last: for the log line that
// tells its end.
type lastExit struct {
	id    pool.WorkerID
	words string
	lines string // the last of both streams
}

// openApp resolves the command and opens the sockets, so that what is wrong with
// either is known before anything runs. It may wait for a disk or a name server.
// The sockets of an app that it replaces are used as they are; the caller counts.
func openApp(c config.App, replaces *app, given *activation) (*app, error) {
	g := launch.New(c)
	if _, err := g.Resolve(); err != nil {
		return nil, err
	}
	a := &app{
		name:        c.Name,
		config:      c,
		pool:        pool.New(poolConfig(c)),
		replaces:    replaces,
		members:     map[pool.WorkerID]*member{},
		generations: map[int]*launch.Generation{},
	}
	a.generations[a.pool.Status().Generation] = g
	if replaces != nil {
		a.sockets = replaces.sockets
		return a, nil
	}
	addresses, err := given.addresses(c)
	if err != nil {
		return nil, err
	}
	o := c.SteeringOptions()
	o.Given = given.sockets
	set, err := listen.Open(addresses, c.Slots(), o)
	if err != nil {
		return nil, err
	}
	a.sockets = newSockets(set)
	return a, nil
}

// listening is where the app listens, with the real port where the config says 0.
func (a *app) listening() (all []string) {
	for _, address := range a.sockets.Addresses() {
		all = append(all, address.String())
	}
	return all
}

var restarts = map[string]pool.Restart{
	config.RestartOnFailure: pool.RestartOnFailure,
	config.RestartAlways:    pool.RestartAlways,
	config.RestartNever:     pool.RestartNever,
}

func poolConfig(c config.App) pool.Config {
	return pool.Config{
		Workers:        c.Slots(),
		Restart:        restarts[c.Restart],
		Backoff:        pool.Backoff(c.Backoff),
		StartLimit:     c.StartLimit,
		ReadyTimeout:   c.StartTimeout(),
		DrainDelay:     c.DrainDelay,
		DrainTimeout:   c.DrainTimeout,
		KillAfter:      c.KillAfter,
		StopFirst:      c.Rollout == config.RolloutStopFirst,
		MaxSurge:       c.MaxSurge,
		MaxUnavailable: c.MaxUnavailable,
		StallTimeout:   c.StallTimeout,
		MaxAge:         c.MaxAge,
		AgeJitter:      c.RecycleJitter,
		Standby:        c.Standby,
		Seed:           rand.Uint64(),
	}
}

// forget drops the generations that no slot starts again and no worker is of.
func (a *app) forget(st pool.Status, next int) {
	used := map[int]bool{st.Generation: true, next: true}
	for _, slot := range st.Slots {
		used[slot.Generation] = true
		for _, w := range slot.Workers {
			used[w.Generation] = true
		}
	}
	for _, w := range st.Standbys {
		used[w.Generation] = true
	}
	for n := range a.generations {
		if !used[n] {
			delete(a.generations, n)
		}
	}
}

// inherit makes a the next run of an app that has ended or is about to.
func (a *app) inherit(old *app) {
	a.history = old.history
	a.history.Changed = nil
	a.previous, a.previousUntil, old.previous = old.previous, old.previousUntil, nil
	a.history.Rollouts = maps.Clone(old.history.Rollouts)
	for i := range a.history.Slots {
		a.history.Slots[i].Unasked = false // what follows is by order
	}
	old.history.Slots = nil // two writers would share it
	a.totals.Inherit(&old.totals)
	a.history.Err = ""
}
