package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Commander is the Supervisor for package control: what its socket serves, and what a
// program that embeds a master can mount elsewhere. All its methods may be called at
// any time; before Run and after its end they return ErrEnded.
//
// What its orders mean for an app:
//
//	stop     drains all workers and closes the sockets: connections are refused. The app
//	         stays in the list, also over a new config, until a start; so does the master,
//	         though nothing runs.
//	start    opens the addresses again, with what is on disk now and as many workers as
//	         before. An app that runs is left as it is, but for its drained slots.
//	restart  stop, then start, on sockets that stay open: clients that connect wait. A
//	         command that is not there stops nothing. Of one slot: the same program again.
//	reload   a rollout. During one, it waits for the next, which all such orders share.
//	scale    ends when the new workers are ready, or the slots too many are gone.
//	drain    empties one slot, which stays empty until a start (of it or of the app), a
//	         restart, a reload or a scale. Not of the only slot that serves.
//	signal   to the worker's own process, not to its children.
//
// An order's App may be a namespace, or empty for all apps; those that do not run are
// then passed over by reload, scale and signal. A caller that gives up ends its own wait:
// the order goes on. The counters of a slot survive its workers, a stop and a restart.
// CPU is that since the question before; latencies are those since the oldest question
// of the last minute, else since the worker's start.
func (s *Supervisor) Commander() control.Commander { return commander{s} }

type commander struct{ s *Supervisor }

// ask is command with a context.
func ask[A any](ctx context.Context, s *Supervisor, make func(answer chan<- A) message) (A, error) {
	var none A
	select {
	case <-s.started:
	default:
		return none, ErrEnded
	}
	answer := newAnswer[A]()
	select {
	case <-s.done:
		return none, ErrEnded
	default:
	}
	select {
	case s.inbox <- make(answer):
	case <-s.done:
		return none, ErrEnded
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-s.done:
		select {
		case a := <-answer: // the last that it answered
			return a, nil
		default:
			return none, ErrEnded
		}
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (c commander) Status(ctx context.Context) (control.Status, error) { return c.s.controlStatus(ctx) }

func (c commander) Do(ctx context.Context, o control.Order, progress func(control.Progress)) error {
	switch o.Verb {
	case control.VerbShutdown:
		return c.shutdown(ctx, o)
	case control.VerbUpgrade:
		return c.s.upgradeFor(ctx, o, progress)
	}
	return c.s.do(ctx, o, progress)
}

// shutdown ends the master, and waits for that. Its success is that the master does not
// answer any more.
func (c commander) shutdown(ctx context.Context, o control.Order) error {
	if o.App != "" {
		return control.Refuse(http.StatusUnprocessableEntity, "shutdown is of tine itself; to end app %s, stop it", o.App)
	}
	_, err := ask(ctx, c.s, func(answer chan<- struct{}) message { return shutdown{o, answer} })
	if err != nil {
		return err
	}
	select {
	case <-c.s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shutdown is the end of tine itself. Its answer is that it began.
type shutdown struct {
	control.Order
	answer chan<- struct{}
}

func (m shutdown) apply(l *loop) {
	if m.Now || !l.state.Stopping() {
		stopOrder{now: m.Now, reason: cmp.Or(m.Reason, "ordered to")}.apply(l)
	}
	m.answer <- struct{}{}
}

func (c commander) Events(ctx context.Context, after uint64, follow bool, yield func(control.Event) error) error {
	return c.s.book.Read(ctx, after, follow, yield)
}

// value is one cached value, copied.
type value struct {
	data  []byte
	told  control.CacheValue
	known bool
	keys  []string // if it is not
	err   error
}

type getValue struct {
	key    string
	answer chan<- value
}

func (g getValue) apply(l *loop) {
	var v value
	all := l.values.Status(time.Now())
	v.told, v.known = valueOf(all, g.key)
	if p, ok := l.values.Get(g.key); ok {
		// A reference, so that the loop does not wait for the copy of a large one.
		p = p.Retain()
		l.s.wg.Go(func() {
			defer p.Release()
			b, err := p.Bytes()
			v.data, v.err = append([]byte{}, b...), err
			g.answer <- v
		})
		return
	}
	for _, other := range all {
		v.keys = append(v.keys, other.Key)
	}
	g.answer <- v
}

func (c commander) Value(ctx context.Context, key string) ([]byte, control.CacheValue, error) {
	v, err := ask(ctx, c.s, func(answer chan<- value) message { return getValue{key, answer} })
	switch {
	case err != nil:
		return nil, control.CacheValue{}, err
	case v.err != nil:
		return nil, v.told, fmt.Errorf("cannot read the cached value %q: %w", key, v.err)
	case v.data == nil && v.known:
		return nil, v.told, control.Refuse(http.StatusNotFound, "%q has no value yet: %s", key, v.told.Error)
	case v.data == nil:
		return nil, v.told, control.Unknown("cached value", key, v.keys)
	}
	return v.data, v.told, nil
}

func (c commander) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	payload, err := cache.Encode(data)
	if err != nil {
		return 0, fmt.Errorf("cannot set %q: %w", key, err)
	}
	set, err := ask(ctx, c.s, func(answer chan<- valueSet) message {
		return setValue{key: key, payload: payload, source: cache.SourceSet, answer: answer}
	})
	if err != nil {
		return 0, err
	}
	if refused := (cache.RefusedError{}); errors.As(set.err, &refused) {
		return 0, control.Refuse(http.StatusUnprocessableEntity, "%s", refused.Error())
	}
	return set.epoch, set.err
}

func (c commander) DeleteValue(ctx context.Context, key string) error {
	v, err := ask(ctx, c.s, func(answer chan<- value) message { return deleteKnown{key, answer} })
	if err == nil && !v.known {
		return control.Unknown("cached value", key, v.keys)
	}
	return err
}

// deleteKnown deletes a value, if there is one.
type deleteKnown struct {
	key    string
	answer chan<- value
}

func (d deleteKnown) apply(l *loop) {
	all := l.values.Status(time.Now())
	_, known := valueOf(all, d.key)
	if known {
		l.delete(d.key)
		d.answer <- value{known: true}
		return
	}
	var v value
	for _, other := range all {
		v.keys = append(v.keys, other.Key)
	}
	d.answer <- v
}

// checkKey refuses what no config could have.
func checkKey(key string) error {
	if key == "" || len(key) > ipc.MaxKey {
		return api.WrongField("key", "a key has 1 to %d bytes, not %d", ipc.MaxKey, len(key))
	}
	return nil
}

// maxCommandCall bounds a call whose caller sets no end.
const maxCommandCall = 30 * time.Second

func (c commander) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCallTime)
	defer cancel()
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, maxCommandCall)
		defer cancel()
	}
	out, err := c.s.Call(ctx, app, worker, method, in)
	if err == nil || errors.Is(err, ErrEnded) || ctx.Err() != nil {
		return out, err
	}
	missing, unknown := noSuchWorker(""), noHandler("")
	switch {
	case errors.As(err, &unknown):
		return nil, control.Refuse(http.StatusNotImplemented, "worker %d of app %s: %v", worker, app, err)
	case errors.As(err, &missing):
		return nil, control.Refuse(http.StatusNotFound, "app %s has no worker %d that can be called", app, worker)
	}
	return nil, err
}

// Logs: see the logbook.
func (c commander) Logs(ctx context.Context, q control.LogQuery, yield func(control.LogLine) error) error {
	select {
	case <-c.s.started:
	default:
		return ErrEnded
	}
	return c.s.logs.Lines(ctx, q, yield)
}

func (c commander) Config(ctx context.Context) ([]byte, error) {
	running, err := c.s.running(ctx)
	if err != nil {
		return nil, err
	}
	return file.YAML(running.Masked()), nil
}
