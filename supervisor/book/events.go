package book

import (
	"context"
	"sync"

	"github.com/tinehq/tine/supervisor/control"
)

const (
	// eventsKept is how many of the newest events can still be read.
	eventsKept = 4096
	// eventsAtOnce bounds what one reader copies at a time.
	eventsAtOnce = 256
)

// Events keeps the newest events for whoever reads them, now or later. Writing
// costs the same with no reader and with a hundred, and never waits: a reader has a
// place in the one ring, not a queue of its own. Who is more than eventsKept events
// behind is told how many it missed. Safe for concurrent use; the zero book is ready.
type Events struct {
	mu      sync.Mutex
	ring    []control.Event // the event with id n is at (n-1) % eventsKept
	last    uint64          // id of the newest; 0: none
	changed chan struct{}   // closed at the next event; nil: nobody waits
	closed  bool
}

// Add gives an event its id and keeps it.
func (b *Events) Add(e control.Event) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	if len(b.ring) < eventsKept {
		b.ring = append(b.ring, e)
	} else {
		b.ring[(e.ID-1)%eventsKept] = e
	}
	b.wake()
	return e.ID
}

// Close lets those who follow go, once they have read what there is.
func (b *Events) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wake()
}

func (b *Events) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Newest is the id of the last event.
func (b *Events) Newest() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// next returns the oldest events with an id greater than after and up to until, at
// most eventsAtOnce, and how many before them are gone. more is nil when no event
// will follow, else closed when there are some.
func (b *Events) next(after, until uint64) (events []control.Event, missed uint64, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := b.last - uint64(len(b.ring)) + 1
	if first := after + 1; first < oldest {
		missed, after = oldest-first, oldest-1
	}
	for id := after + 1; id <= min(b.last, until) && len(events) < eventsAtOnce; id++ {
		events = append(events, b.ring[(id-1)%eventsKept])
	}
	if b.closed {
		return events, missed, nil
	}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return events, missed, b.changed
}

// Read gives yield the events after an id, and with follow those that come, as
// [control.Commander] says.
func (b *Events) Read(ctx context.Context, after uint64, follow bool, yield func(control.Event) error) error {
	newest := b.Newest()
	if after > newest {
		after = 0 // of an earlier master
	}
	until := newest
	if follow {
		until = ^uint64(0)
	}
	// Who begins at the beginning has missed nothing that it ever asked for.
	fresh := after == 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		events, missed, more := b.next(after, until)
		for i, e := range events {
			if i == 0 && !fresh {
				e.Missed = missed
			}
			if err := yield(e); err != nil {
				return err
			}
			after, fresh = e.ID, false
		}
		switch {
		case len(events) > 0:
		case !follow || more == nil:
			return nil
		default:
			select {
			case <-more:
			case <-ctx.Done():
			}
		}
	}
}
