package serve

import (
	"context"
	"net/http"

	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Commander is the master for package control: what its socket serves, and what a program that embeds a master can mount elsewhere.
// All its methods may be called at any time; before the master runs and after its end they return ErrEnded.
//
// What its orders mean for an app:
//
//	stop     drains all workers and closes the sockets: a client that connects is refused. The app
//	         stays in the list, also over a new config, until a start; so does the master,
//	         though nothing runs.
//	start    opens the addresses again, with what is on disk now and as many workers as
//	         before. An app that runs is left as it is, but for its drained slots.
//	restart  stop, then start, on sockets that stay open: a client that connects meanwhile waits. A
//	         command that is not there stops nothing. Of one slot: the same program again.
//	reload   a rollout. During one, it waits for the next, which all that wait share.
//	scale    ends when the new workers are ready, or the slots too many are gone.
//	drain    empties one slot, which stays empty until a start (of it or of the app), a
//	         restart, a reload or a scale. Not of the only slot that serves.
//	signal   to the worker's own process, not to its children.
//
// An order's App may be a namespace, or empty for all apps; those that do not run are then passed over by reload, scale and
// signal. The end of an order's context ends the wait, and not the order. The counters of a slot survive its workers, a stop and a
// restart. CPU is that since the status before; latencies are those since the oldest status of the last minute, else since the
// worker's start.
func (s *Server) Commander() api.Commander { return commander{s.master, s} }

// commander takes what needs nothing of the Server from the master itself.
type commander struct {
	Master
	s *Server
}

func (c commander) Status(ctx context.Context) (api.Status, error) { return c.s.status(ctx) }

func (c commander) Do(ctx context.Context, o api.Order, progress func(api.Progress)) error {
	switch o.Verb {
	case api.VerbShutdown:
		if o.App != "" {
			return api.Refuse(http.StatusUnprocessableEntity, "shutdown is of tine itself; to end app %s, stop it", o.App)
		}
		return c.Shutdown(ctx, o)
	case api.VerbUpgrade:
		return c.s.upgrade(ctx, o, progress)
	}
	return c.Place(ctx, o, progress)
}

func (c commander) Config(ctx context.Context) ([]byte, error) {
	m, err := c.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return file.YAML(m.Config.Masked()), nil
}

func (c commander) Apply(ctx context.Context, r api.ApplyRequest) (api.ApplyResult, error) {
	return c.s.apply(ctx, r)
}
