package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// callTimeout bounds a call or publish whose context has no deadline.
const callTimeout = 30 * time.Second

// maxServing bounds how many calls of the master are being answered at a time; more of them wait in the dispatcher.
const maxServing = 64

// RemoteError is the error with which the other side answered.
type RemoteError struct{ Message string }

func (e *RemoteError) Error() string { return e.Message }

// call is one of the master's.
type call struct {
	ipc.Call
	masterNo uint64 // of the master that has asked
}

// calls are those that wait for a reply.
type calls struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waiter
	ended   error // set once: no reply will come any more
}

// waiter is one that waits, with room for the answer.
type waiter struct {
	answer chan answer
	again  ipc.Frame // what another master is asked; nil: nothing, since it may not be carried out twice
}

type answer struct {
	data []byte
	err  error
}

// add registers the frame that build makes of an ID. A change may be asked for again, so that the waiter keeps one.
func (c *calls) add(build func(id uint64) ipc.Frame) (uint64, *waiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return 0, nil, c.ended
	}
	if c.waiting == nil {
		c.waiting = map[uint64]*waiter{}
	}
	c.last++
	w := &waiter{answer: make(chan answer, 1)}
	switch f := build(c.last).(type) {
	case ipc.Set:
		f.Payload.Retain()
		w.again = f
	case ipc.Delete:
		w.again = f
	}
	c.waiting[c.last] = w
	return c.last, w, nil
}

// remove answers the waiter only if it was not removed before.
func (c *calls) remove(id uint64) *waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.take(id)
}

// take must be called with mu held.
func (c *calls) take(id uint64) *waiter {
	w := c.waiting[id]
	if w != nil {
		delete(c.waiting, id)
		if w.again != nil {
			ipc.Discard(w.again)
		}
	}
	return w
}

// answer takes over the reply's reference. A reply that no caller waits for any more is dropped.
func (c *calls) answer(f ipc.Reply) {
	if w := c.remove(f.ID); w != nil {
		a := answer{}
		if f.Error != "" {
			a.err = &RemoteError{f.Error}
		} else {
			a.data, a.err = copied(f.Payload)
		}
		w.answer <- a
	}
	ipc.Discard(f)
}

// renew is for what waits when there is another master: a change is asked for again, a call has an answer that will not
// come, and what has not been sent yet is on its way.
func (c *calls) renew(unsent map[uint64]bool) (again []ipc.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.waiting)) {
		w := c.waiting[id]
		switch f := w.again.(type) {
		case nil:
			if !unsent[id] {
				c.take(id)
				w.answer <- answer{err: ErrMasterReplaced}
			}
			continue
		case ipc.Set:
			if unsent[id] {
				continue
			}
			f.Payload.Retain()
		}
		if !unsent[id] {
			again = append(again, w.again)
		}
	}
	return again
}

func (c *calls) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = err
	}
	for id, w := range c.waiting {
		c.take(id)
		w.answer <- answer{err: err}
	}
}

// roundTrip sends the frame that build makes of an ID and p, and waits for its reply. It takes over p's reference.
func (w *Worker) roundTrip(ctx context.Context, p *ipc.Payload, build func(id uint64) ipc.Frame) ([]byte, error) {
	id, waits, err := w.calls.add(build)
	if err != nil {
		if p != nil {
			p.Release()
		}
		return nil, err
	}
	defer w.calls.remove(id)
	if err := w.send(build(id)); err != nil {
		return nil, err
	}
	select {
	case a := <-waits.answer:
		return a.data, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Call asks the master's handler of method and stores the answer in out, which may be nil. in and out go by the rules of
// [Cached]. A context without a deadline gets one of 30 s. A worker that stands alone asks its own handler.
func (w *Worker) Call(ctx context.Context, method string, in, out any) error {
	if err := w.call(ctx, method, in, out); err != nil {
		return fmt.Errorf("cannot call %q: %w", method, err)
	}
	return nil
}

func (w *Worker) call(ctx context.Context, method string, in, out any) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	var data []byte
	if !w.attached {
		fn := w.handlers.method(method)
		if fn == nil {
			return ErrAlone
		}
		raw, err := encode(in)
		if err != nil {
			return err
		}
		res, err := fn(ctx, raw)
		if err != nil {
			return &RemoteError{err.Error()}
		}
		if data, err = encode(res); err != nil {
			return err
		}
	} else {
		p, err := payload(in)
		if err != nil {
			return err
		}
		deadline, _ := ctx.Deadline()
		data, err = w.roundTrip(ctx, p, func(id uint64) ipc.Frame {
			return ipc.Call{ID: id, Method: method, Timeout: time.Until(deadline), Payload: p}
		})
		if err != nil {
			return err
		}
	}
	if out == nil {
		return nil
	}
	return decodeBytes(data, out)
}

// Handle has fn answer the master's calls of method. Calls run beside each other, each after the callbacks of
// everything that arrived before it have returned. Methods that begin with "tine." are answered by the worker itself.
func (w *Worker) Handle(method string, fn HandlerFunc) { w.handlers.handle(method, fn) }

func (w *Worker) called(f call) {
	switch f.Method {
	case dumpMethod:
		w.dump(f)
		return
	case metricsMethod:
		w.metrics(f)
		return
	case profileMethod:
		w.profile(f)
		return
	}
	release := func() { ipc.Discard(f.Call) }
	ok := w.dispatch.post(job{kind: ofCall, drop: release, run: func() {
		select {
		case w.handlers.serving() <- struct{}{}:
		case <-w.over:
			release()
			return
		}
		go func() {
			defer func() { <-w.handlers.serving() }()
			defer release()
			w.reply(f, func() (any, error) { return w.serveCall(f.Call) })
		}()
	}})
	if !ok {
		release()
		w.reply(f, func() (any, error) {
			return nil, fmt.Errorf("worker is busy: %d calls wait for its callbacks", maxCallbacks)
		})
	}
}

func (w *Worker) serveCall(f ipc.Call) (any, error) {
	fn := w.handlers.method(f.Method)
	if fn == nil {
		return nil, fmt.Errorf("%s %q", ipc.NoHandler, f.Method)
	}
	timeout := f.Timeout
	if timeout <= 0 {
		timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var in []byte
	if f.Payload != nil {
		var err error
		if in, err = f.Payload.Bytes(); err != nil {
			return nil, err
		}
	}
	return fn(ctx, in)
}

func (w *Worker) reply(c call, fn func() (any, error)) {
	r := ipc.Reply{ID: c.ID}
	v, err := fn()
	if err == nil {
		r.Payload, err = payload(v)
	}
	if err != nil {
		r.Error = cmp.Or(err.Error(), "unknown error")
	}
	if err := w.mail.reply(c.masterNo, r); err != nil && !errors.Is(err, ErrOrphaned) {
		w.opts.logger.Warn("cannot answer a call of the master", "error", err)
	}
}

// Publish sets the value named key for all workers and returns its epoch once the master has taken it. It does not wait
// until the workers, this one included, have received it. A worker that stands alone sets it for itself.
//
// A worker may publish 1 GiB at once and 256 MiB a second for long, where each value counts for 16 KiB more than it has. Beyond
// that the master reads its channel more slowly, and this takes longer. The master refuses, with a [RemoteError], more than 10,000
// keys, more than 1 GiB in all, and more values of over 64 KiB than it has file descriptors for (see tine doctor).
func (w *Worker) Publish(ctx context.Context, key string, v any) (epoch uint64, err error) {
	p, err := payload(v)
	if err == nil {
		epoch, err = w.publish(ctx, key, p)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot publish %q: %w", key, err)
	}
	return epoch, nil
}

// Unpublish deletes the value named key for all workers.
func (w *Worker) Unpublish(ctx context.Context, key string) error {
	if _, err := w.publish(ctx, key, nil); err != nil {
		return fmt.Errorf("cannot unpublish %q: %w", key, err)
	}
	return nil
}

// publish takes over p's reference; nil deletes.
func (w *Worker) publish(ctx context.Context, key string, p *ipc.Payload) (uint64, error) {
	if err := checkKey(key); err != nil {
		if p != nil {
			p.Release()
		}
		return 0, err
	}
	now := time.Now()
	if !w.attached {
		epoch := w.store.next()
		if p == nil {
			w.store.delete(key, epoch)
		} else {
			w.store.set(key, epoch, now, p)
		}
		w.store.apply(w.dispatch.changed)
		return epoch, nil
	}
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	data, err := w.roundTrip(ctx, p, func(id uint64) ipc.Frame {
		if p == nil {
			return ipc.Delete{ID: id, Key: key}
		}
		return ipc.Set{ID: id, Key: key, ChangedAt: now, Payload: p}
	})
	if err != nil {
		return 0, err
	}
	epoch, err := strconv.ParseUint(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the master answered %.40q instead of an epoch", data)
	}
	return epoch, nil
}

func checkKey(key string) error {
	if key == "" || len(key) > ipc.MaxKey {
		return fmt.Errorf("key has %d bytes, must have 1 to %d", len(key), ipc.MaxKey)
	}
	return nil
}
