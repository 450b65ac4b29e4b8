package master

import (
	"context"
	"slices"

	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// handleOptions are what the worker's handle needs of this master.
func (s *Supervisor) handleOptions(m *crew.Worker) handle.Options {
	return handle.Options{
		Post: func(f handle.Fact) bool { return s.post(fact{m, f}) },
		Done: s.done,
		Go:   s.wg.Go,
		Output: func(pid int) (stdout, stderr handle.Output) {
			m.Name(pid)
			return s.logs.Outlet(&m.Stdout), s.logs.Outlet(&m.Stderr)
		},
	}
}

// launch starts the process of a Spawn effect, posts what came of it, and follows it. It runs in a goroutine of its own, since
// an exec may wait for a disk.
func (s *Supervisor) launch(ctx context.Context, m *crew.Worker, g *launch.Generation) {
	err := s.prepare(ctx, m, g)
	if err == nil {
		err = s.start(m, g)
	}
	if err != nil {
		s.post(spawnFailed{app: m.App, id: m.ID, err: proc.AsLimit(err)})
		return
	}
	follow := m.Follow()
	if err := s.estate.StoreWorker(m); err != nil {
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
	m   *crew.Worker
	err error
}

func (w workerNotKept) apply(l *loop) {
	l.estate.StoreFailed(succession.WorkerName(w.m.App.Key, w.m.ID), w.err)
}

func (s *Supervisor) start(m *crew.Worker, g *launch.Generation) error {
	recipe, err := g.Startable(s.pins)
	if err != nil {
		return err
	}
	if text, harmless := recipe.Command.Drift(); text != "" && !g.Drifted.Load() {
		s.post(drift{m.App, g, text, harmless})
	}
	// A slice of its own: the recipe is every worker's of the generation, and they start at the same time.
	recipe.Command.Env = slices.Concat(recipe.Command.Env, m.OwnEnv())
	m.Worker, err = handle.Start(recipe.Command, recipe.Bound(m.Slot), s.handleOptions(m))
	return err
}
