package worker

import (
	"errors"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// store holds the newest raw form of every cached value and the list of those that readers and watchers have yet to be told of.
//
// Two locks: mu is held for a few instructions only, so that the channel's reader never waits; applying is held while
// values are decoded, which runs code of the user. A change that comes while an older one of the same key waits takes
// its place, so what waits is bounded by the number of keys.
type store struct {
	mu    sync.Mutex
	cells map[string]*cell
	dirty []*cell
	epoch uint64 // every change up to here has been received
	wake  chan struct{}

	applying sync.Mutex
	mappings mappings
}

type cell struct {
	key string

	// Guarded by store.mu. The cell owns one reference of the payload.
	now   entry
	dirty bool

	// Guarded by store.applying.
	readers []reader
	watches []*watch
}

// entry is one state of one key.
type entry struct {
	present bool
	epoch   uint64
	changed time.Time
	payload *ipc.Payload // nil: empty
}

func (e entry) len() int {
	if e.payload == nil {
		return 0
	}
	return e.payload.Len()
}

func (e entry) bytes() ([]byte, error) {
	if e.payload == nil {
		return nil, nil
	}
	return e.payload.Bytes()
}

func (e entry) retain() entry {
	if e.payload != nil {
		e.payload.Retain()
	}
	return e
}

func (e entry) release() {
	if e.payload != nil {
		e.payload.Release()
	}
}

// reader is a Value that wants each new state. It returns false once the Value is unreachable.
type reader func(entry) (alive bool)

func newStore() *store {
	return &store{cells: map[string]*cell{}, wake: make(chan struct{}, 1)}
}

// cell must be called with mu held.
func (s *store) cell(key string) *cell {
	c := s.cells[key]
	if c == nil {
		c = &cell{key: key}
		s.cells[key] = c
	}
	return c
}

func (s *store) change(key string, e entry) {
	s.mu.Lock()
	c := s.cell(key)
	old := c.now
	c.now = e
	s.epoch = max(s.epoch, e.epoch)
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
	s.mu.Unlock()
	old.release()
	s.poke()
}

func (s *store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// set takes over the payload's reference.
func (s *store) set(key string, epoch uint64, changed time.Time, p *ipc.Payload) {
	s.change(key, entry{present: true, epoch: epoch, changed: changed, payload: p})
}

func (s *store) delete(key string, epoch uint64) {
	s.change(key, entry{epoch: epoch, changed: time.Now()})
}

// restart begins a snapshot. A master that has lost its values counts from a lower epoch than the last one.
func (s *store) restart(epoch uint64) {
	s.mu.Lock()
	s.epoch = epoch
	s.mu.Unlock()
	s.poke()
}

// confirm is set for a value of a snapshot, which may be the one that is here already: then it is not told again.
func (s *store) confirm(key string, epoch uint64, changed time.Time, p *ipc.Payload) {
	s.mu.Lock()
	now := entry{}
	if c := s.cells[key]; c != nil {
		now = c.now.retain()
	}
	s.mu.Unlock()
	defer now.release()
	if now.present && now.epoch == epoch && now.payload != nil && now.payload.Len() == p.Len() {
		now.payload.Prepare()
		p.Prepare()
		if now.payload.Equal(p) {
			p.Release()
			return
		}
	}
	s.set(key, epoch, changed, p)
}

func (s *store) keepOnly(keys map[string]bool) {
	s.mu.Lock()
	var gone []string
	for k, c := range s.cells {
		if c.now.present && !keys[k] {
			gone = append(gone, k)
		}
	}
	epoch := s.epoch
	s.mu.Unlock()
	for _, k := range gone {
		s.delete(k, epoch)
	}
}

// next is the epoch of a change that is made here, in a worker that stands alone.
func (s *store) next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return s.epoch
}

// apply decodes what has changed and tells the watchers. It returns the epoch up to which everything is visible.
func (s *store) apply(post func(*watch, change)) uint64 {
	s.applying.Lock()
	defer s.applying.Unlock()
	for {
		s.mu.Lock()
		epoch, dirty := s.epoch, s.dirty
		s.dirty = nil
		news := make([]entry, len(dirty))
		for i, c := range dirty {
			c.dirty = false
			news[i] = c.now.retain()
		}
		s.mu.Unlock()
		if len(dirty) == 0 {
			return epoch
		}
		for i, c := range dirty {
			e := news[i]
			live := c.readers[:0]
			for _, r := range c.readers {
				if r(e) {
					live = append(live, r)
				}
			}
			clear(c.readers[len(live):])
			c.readers = live
			for _, w := range c.watches {
				post(w, change{key: c.key, entry: e.retain()})
			}
			e.release()
		}
	}
}

// subscribe adds a reader and shows it the present state.
func (s *store) subscribe(key string, r reader) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	c := s.cell(key)
	e := c.now.retain()
	s.mu.Unlock()
	c.readers = append(c.readers, r)
	r(e)
	e.release()
}

// ackDelay is how long an ack waits, so that one covers all changes of a burst and is not in the way of the last
// worker's change: the master would be woken by every worker in the middle of its fan-out.
const ackDelay = 5 * time.Millisecond

// applyLoop makes received changes visible and acknowledges them a little later.
func (w *Worker) applyLoop() {
	var applied, acked uint64
	ack := time.NewTimer(0)
	defer ack.Stop()
	for {
		select {
		case <-w.store.wake:
			if applied == acked {
				ack.Reset(ackDelay)
			}
			applied = w.store.apply(w.dispatch.changed)
			w.applied.Store(applied)
		case <-ack.C:
			if applied == acked {
				break
			}
			switch err := w.mail.send(ipc.Ack{Epoch: applied}); {
			case err == nil:
				acked = applied
			case errors.Is(err, ipc.ErrFull):
				ack.Reset(ackDelay)
			}
		case <-w.over:
			return
		}
	}
}
