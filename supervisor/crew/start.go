package crew

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// Starter starts the processes of workers, and has the loop told of them. Its methods are safe for concurrent use: an exec may wait
// for a disk, so each worker is started in a goroutine of its own.
type Starter struct {
	Inbox
	logs *logs.Logs
	pins *launch.Pins
	keep func(*Worker) error // see Estate.StoreWorker
}

type (
	// Spawned: the process of a worker runs, and its handle posts facts. It, or SpawnFailed, is the first message about a worker.
	Spawned struct {
		Worker *Worker
		Unkept error // why the store does not have its files; nil: it has, or there is no store
	}

	// SpawnFailed: a worker could not be started.
	SpawnFailed struct {
		Worker *Worker
		Err    error
	}

	// Heard is any other fact about a worker, as its handle has posted it.
	Heard struct {
		Worker *Worker
		Fact   handle.Fact
	}
)

// spawn starts the process of a worker. A slot that has no sockets yet gets them first.
func (c *Crew) spawn(a *App, e pool.Spawn) {
	m := &Worker{App: a, ID: e.ID, Slot: e.Slot, Generation: e.Generation, Jitter: 2*rand.Float64() - 1}
	g := a.Releases.Of(e.Generation)
	err, ctx := c.openSlot(a, e.Slot), a.HooksCtx
	c.starting++
	c.loop.Go(func() {
		if err != nil {
			c.loop.Post(SpawnFailed{m, err})
			return
		}
		c.launch(c.starter, ctx, m, g)
	})
}

// Start starts the process of a worker, posts what came of it, and follows the worker to its end.
func (s *Starter) Start(ctx context.Context, m *Worker, g *launch.Generation) {
	err := s.prepare(ctx, m, g)
	if err == nil {
		err = s.exec(m, g)
	}
	if err != nil {
		s.Post(SpawnFailed{m, err})
		return
	}
	follow := m.Follow()
	if !s.Post(Spawned{m, s.keep(m)}) {
		m.Abandon()
		return
	}
	follow()
}

// prepare runs the hook before_start of a worker's generation.
func (s *Starter) prepare(ctx context.Context, m *Worker, g *launch.Generation) error {
	if len(g.Config.Hooks.BeforeStart.Command) == 0 {
		return nil
	}
	return g.Prepare(func() error {
		h := newHook(m.App, config.HookBeforeStart, m.Generation)
		ended := h.run(ctx, s.logs, g.Config)
		s.Post(ended)
		if ended.err != nil {
			return fmt.Errorf("hook before_start: %w", ended.err)
		}
		return nil
	})
}

func (s *Starter) exec(m *Worker, g *launch.Generation) error {
	recipe, err := g.Startable(s.pins)
	if err != nil {
		return err
	}
	if text, harmless := recipe.Command.Drift(); text != "" && !g.Drifted.Swap(true) {
		e := s.logs.Info()
		if !harmless {
			e = s.logs.Warn()
		}
		e.Str("app", m.App.Name).Str("release", text).Msg("what is on disk is not the release that runs")
	}
	// A slice of its own: the recipe is every worker's of the generation, and they start at the same time.
	recipe.Command.Env = slices.Concat(recipe.Command.Env, m.OwnEnv())
	m.Worker, err = handle.Start(recipe.Command, recipe.Bound(m.Slot), s.Options(m))
	return err
}

// Options are what the handle of a worker needs of this master.
func (s *Starter) Options(m *Worker) handle.Options {
	return handle.Options{
		Post: func(f handle.Fact) bool { return s.Post(Heard{m, f}) },
		Done: s.Done(),
		Go:   s.Go,
		Output: func(pid int) (stdout, stderr handle.Output) {
			m.Name(pid)
			return s.logs.Outlet(&m.Stdout), s.logs.Outlet(&m.Stderr)
		},
	}
}

func (f Spawned) Act(c *Crew) {
	m := f.Worker
	c.starting--
	if m.App.Ended() {
		f.Drop() // the core has said its last word: nothing else would end this process
		return
	}
	m.App.Members[m.ID] = m
	c.estate.TouchedWorker(m)
	c.estate.WorkerStored(m, f.Unkept)
	c.Welcome(m)
	c.Step(m.App, pool.Spawned{ID: m.ID, PID: m.PID()})
}

// Drop ends the process, of which no loop knows.
func (f Spawned) Drop() {
	_ = f.Worker.Process().Kill()
	f.Worker.DropChannel("the app has ended")
}

func (f SpawnFailed) Act(c *Crew) {
	c.starting--
	c.Step(f.Worker.App, pool.SpawnFailed{ID: f.Worker.ID, Err: proc.AsLimit(f.Err).Error()})
}
