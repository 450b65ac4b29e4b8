package worker

import (
	"slices"
	"sync"
	"time"
)

// Change is a new state of a cached value, as a callback of [Worker.Watch] gets it.
type Change struct {
	Key       string
	Epoch     uint64
	ChangedAt time.Time
	Deleted   bool

	raw []byte
	err error
}

// Bytes returns the raw value. It is valid until the callback returns: copy what is to be kept.
func (c Change) Bytes() ([]byte, error) { return c.raw, c.err }

// Decode stores the value in into, by the rules of [Cached].
func (c Change) Decode(into any) error {
	if c.err != nil {
		return c.err
	}
	return decodeBytes(c.raw, into)
}

type change struct {
	key string
	entry
}

// watch has at most one change waiting: the newest.
type watch struct {
	fn func(Change)

	mu      sync.Mutex
	stopped bool
	next    *change
}

// Watch calls fn with the present state of the value named key, if there is one, and then with every change; changes
// that come while fn runs are merged into the newest. When fn is called, every [Value] of that key already shows the
// change or a newer one. stop ends it; a call that is being made goes on.
func (w *Worker) Watch(key string, fn func(Change)) (stop func()) {
	s := w.store
	s.applying.Lock()
	s.mu.Lock()
	c := s.cell(key)
	e := c.now.retain()
	s.mu.Unlock()
	t := &watch{fn: fn}
	c.watches = append(c.watches, t)
	if e.present {
		w.dispatch.changed(t, change{key, e})
	} else {
		e.release()
	}
	s.applying.Unlock()
	return func() {
		t.mu.Lock()
		t.stopped = true
		next := t.next
		t.next = nil
		t.mu.Unlock()
		if next != nil {
			next.release()
		}
		s.applying.Lock()
		c.watches = slices.DeleteFunc(c.watches, func(x *watch) bool { return x == t })
		s.applying.Unlock()
	}
}

// changed queues c for t and takes over its reference.
func (d *dispatcher) changed(t *watch, c change) {
	t.mu.Lock()
	if t.stopped {
		t.mu.Unlock()
		c.release()
		return
	}
	old := t.next
	t.next = &c
	t.mu.Unlock()
	if old != nil {
		old.release() // its job is still queued and will find the newer one
		return
	}
	if !d.post(job{run: t.run, drop: t.drop}) {
		t.drop()
	}
}

func (t *watch) take() *change {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.next
	t.next = nil
	return c
}

func (t *watch) run() {
	c := t.take()
	if c == nil {
		return
	}
	defer c.release()
	raw, err := c.bytes()
	t.fn(Change{Key: c.key, Epoch: c.epoch, ChangedAt: c.changed, Deleted: !c.present, raw: raw, err: err})
}

func (t *watch) drop() {
	if c := t.take(); c != nil {
		c.release()
	}
}
