package crew

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
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

// App is what the loop keeps for one app: the core that decides, the sockets and
// processes that it decides about, and how each generation is started.
type App struct {
	Key       int // of this app in the record for the next master
	drawn     snapshot.Drawn
	Deadline  time.Time // of the pool
	Waits     bool      // for a worker: see pool.Waits
	Name      string
	Config    config.App
	Pool      *pool.Pool
	Sockets   *Sockets
	Members   map[pool.WorkerID]*Worker
	Ungreeted map[pool.WorkerID]struct{} // are ready, and were not told that all are
	Releases  *launch.Releases

	Steering slots.Steering

	Totals   slots.Totals // of the workers that are gone
	LastExit LastExit

	Run     *apps.Run     // what the core has decided about it; nil while it is being opened
	Stepped *apps.Stepped // what the step of its pool that is under way tells the core; nil: none is

	HooksCtx context.Context // of what only makes sense while the app runs; nil before its start
	EndHooks context.CancelFunc
	files    *fileWatch // nil: none

	StartWith int // workers, when it is started again; 0: as many as before
	History   journal.History

	// replaces is the app whose sockets it was opened on, to take its place, until the core knows that.
	Replaces *App
}

// LastExit is what the worker that ended last printed last: for the log line that
// tells its end.
type LastExit struct {
	ID    pool.WorkerID
	Words string
	Lines string // the last of both streams
}

// Open resolves the command and opens the sockets, so that what is wrong with
// either is known before anything runs. It may wait for a disk or a name server.
// The sockets of an app that it replaces are used as they are; the caller counts.
func Open(c config.App, replaces *App, given *Given, pins *launch.Pins) (*App, error) {
	g := launch.New(c)
	if _, err := g.Resolve(); err != nil {
		return nil, err
	}
	a := &App{
		Name:     c.Name,
		Config:   c,
		Pool:     pool.New(PoolConfig(c)),
		Replaces: replaces,
		Members:  map[pool.WorkerID]*Worker{},
	}
	a.Releases = launch.NewReleases(pins, a.Pool.Brief().Generation, g)
	if replaces != nil {
		a.Sockets = replaces.Sockets
		return a, nil
	}
	addresses, err := given.Addresses(c)
	if err != nil {
		return nil, err
	}
	o := c.SteeringOptions()
	o.Given = given.Sockets
	set, err := listen.Open(addresses, c.Slots(), o)
	if err != nil {
		return nil, err
	}
	a.Sockets = NewSockets(set)
	return a, nil
}

// Listening is where the app listens, with the real port where the config says 0.
func (a *App) Listening() (all []string) {
	for _, address := range a.Sockets.Addresses() {
		all = append(all, address.String())
	}
	return all
}

var restarts = map[string]pool.Restart{
	config.RestartOnFailure: pool.RestartOnFailure,
	config.RestartAlways:    pool.RestartAlways,
	config.RestartNever:     pool.RestartNever,
}

// PoolConfig is what the core of the pool needs of an app's config, with a seed of its own.
func PoolConfig(c config.App) pool.Config {
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

// Inherit makes a the next run of an app that has ended or is about to.
func (a *App) Inherit(old *App) {
	a.History = old.History
	a.History.Changed = nil
	a.Releases.Inherit(old.Releases)
	a.History.Rollouts = maps.Clone(old.History.Rollouts)
	for i := range a.History.Slots {
		a.History.Slots[i].Unasked = false // what follows is by order
	}
	old.History.Slots = nil // two writers would share it
	a.Totals.Inherit(&old.Totals)
	a.History.Err = ""
}

func (a *App) ID() apps.ID { return apps.ID(a.Key) }

// ReleaseBefore is the release that a rollback goes back to; nil: there is none.
func (a *App) ReleaseBefore() *launch.Generation {
	st := a.Pool.Brief()
	return a.Releases.Before(st.Generation, st.Rolling)
}

// QueueRollback has the rollback that begins next go back to what ReleaseBefore returns now.
func (a *App) QueueRollback() {
	st := a.Pool.Brief()
	a.Releases.QueueBack(st.Generation, st.Rolling)
}

// NextGeneration is that of a new run, which reads all anew as a rollout does.
func (a *App) NextGeneration() int {
	return max(a.History.LastGeneration, a.Pool.Brief().Generation) + 1
}

// State is the app's, in the words of package control.
func (a *App) State() string { return journal.AppStates[a.Run.Shown()] }

func (a *App) Ended() bool { return a.Run != nil && a.Run.Ended() } // nil: it is being opened

func (a *App) Leaves() bool { return a.Run.Leaves() }

func (a *App) Halted() bool { return a.Run.Halted() }

// Trouble is why an app does not run as it should, but for what is to be seen of its workers and addresses.
func (a *App) Trouble() string {
	switch why := a.Run.Missing(); {
	case why != "" && a.Run.State() == apps.Blocked:
		return "not started: " + why
	case why != "":
		return "waits: " + why
	}
	return a.History.Err
}

// Accepting is the worker that takes a slot's connections, or nil.
func (a *App) Accepting(slot int) (found *Worker) {
	for _, m := range a.Members {
		if m.Slot == slot && m.Talk.Serves() && (found == nil || m.ID > found.ID) {
			found = m
		}
	}
	return found
}

// InOrder are an app's workers in the order in which they were started, so that what the loop does to all of them has the same order
// each time.
func (a *App) InOrder() []*Worker {
	return slices.SortedFunc(maps.Values(a.Members), func(m, n *Worker) int { return int(m.ID) - int(n.ID) })
}

// LooksAt says whether the app has addresses that a client, or inner sockets that a gateway, should reach now.
func (a *App) LooksAt() bool {
	return !a.Ended() && !a.Run.Waits() && (a.Sockets.Listens() || a.Sockets.Inner() != "")
}

// OpenHooks begins the time in which hooks run that only make sense while the app runs. It ends with ctx, or by CancelHooks.
func (a *App) OpenHooks(ctx context.Context) {
	a.CancelHooks()
	a.HooksCtx, a.EndHooks = context.WithCancel(ctx)
}

// CancelHooks ends those that only make sense while the app runs on.
func (a *App) CancelHooks() {
	if a.EndHooks != nil {
		a.EndHooks()
	}
}

// Unrolled says whether the workers were started with something else than config
// has, and no rollout is under way that may change it: the last one was aborted.
func (a *App) Unrolled(cfg config.App) bool {
	st := a.Pool.Status()
	g := a.Releases.Of(st.Generation)
	return st.Rollout == nil && g != nil && !g.Back && config.StartedDifferently(g.Config, cfg)
}
