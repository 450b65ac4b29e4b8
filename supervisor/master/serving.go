package master

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/values"
)

// Commander is the Supervisor for package control: what its socket serves, and what a program that embeds a master can mount
// elsewhere. All its methods may be called at any time; before Run and after its end they return ErrEnded. What its orders mean
// is said at [serve.Server.Commander].
func (s *Supervisor) Commander() control.Commander { return s.server.Commander() }

// serving is the Supervisor as package serve sees it: a serve.Master.
type serving struct{ s *Supervisor }

func (m serving) Snapshot(ctx context.Context) (*snapshot.Master, error) { return m.s.Snapshot(ctx) }

func (m serving) Upgrade(ctx context.Context, binary string) error { return m.s.Upgrade(ctx, binary) }

func (m serving) Place(ctx context.Context, o control.Order, progress func(control.Progress)) error {
	return desk.Place(ctx, func(with func(chan<- desk.Begun) desk.Message) (desk.Begun, error) {
		return ask(context.Background(), m.s, func(answer chan<- desk.Begun) message { return toDesk{with(answer)} })
	}, m.s.done, o, progress)
}

// ask hands a message to the loop and waits for its answer, which the message sends on a channel with room for it. The end of ctx ends
// the wait, and not what the message does.
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

// Shutdown ends the master, and waits for that. Its success is that no master is there any more.
func (m serving) Shutdown(ctx context.Context, o control.Order) error {
	_, err := ask(ctx, m.s, func(answer chan<- struct{}) message { return shutdown{o, answer} })
	if err != nil {
		return err
	}
	select {
	case <-m.s.done:
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

func (m serving) Events(ctx context.Context, after uint64, follow bool, yield func(control.Event) error) error {
	return m.s.book.Read(ctx, after, follow, yield)
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
	known := l.values.Known()
	st, ok := known.Get(g.key, time.Now())
	v.told, v.known = serve.CacheValue(st), ok
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
	v.keys = known.Keys()
	g.answer <- v
}

func (m serving) Value(ctx context.Context, key string) ([]byte, control.CacheValue, error) {
	v, err := ask(ctx, m.s, func(answer chan<- value) message { return getValue{key, answer} })
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

func (m serving) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	payload, err := cache.Encode(data)
	if err != nil {
		return 0, fmt.Errorf("cannot set %q: %w", key, err)
	}
	set, err := ask(ctx, m.s, func(answer chan<- values.Setting) message {
		return ofValues{values.SetValue{Key: key, Payload: payload, Answer: answer}}
	})
	if err != nil {
		return 0, err
	}
	if refused := (cache.RefusedError{}); errors.As(set.Err, &refused) {
		return 0, control.Refuse(http.StatusUnprocessableEntity, "%s", refused.Error())
	}
	return set.Epoch, set.Err
}

func (m serving) DeleteValue(ctx context.Context, key string) error {
	v, err := ask(ctx, m.s, func(answer chan<- value) message { return deleteKnown{key, answer} })
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
	known := l.values.Known()
	if _, ok := known.Get(d.key, time.Now()); ok {
		l.values.Delete(d.key)
		d.answer <- value{known: true}
		return
	}
	d.answer <- value{keys: known.Keys()}
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

func (m serving) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, handlers.MaxCallTime)
	defer cancel()
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, maxCommandCall)
		defer cancel()
	}
	out, err := m.s.Call(ctx, app, worker, method, in)
	if err == nil || errors.Is(err, ErrEnded) || ctx.Err() != nil {
		return out, err
	}
	missing, unknown := crew.NoSuchWorker(""), handle.NoHandler("")
	switch {
	case errors.As(err, &unknown):
		return nil, control.Refuse(http.StatusNotImplemented, "worker %d of app %s: %v", worker, app, err)
	case errors.As(err, &missing):
		return nil, control.Refuse(http.StatusNotFound, "app %s has no worker %d that can be called", app, worker)
	}
	return nil, err
}

// Logs: see the logbook.
func (m serving) Logs(ctx context.Context, q control.LogQuery, yield func(control.LogLine) error) error {
	select {
	case <-m.s.started:
	default:
		return ErrEnded
	}
	return m.s.logs.Lines(ctx, q, yield)
}
