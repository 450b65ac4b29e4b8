package book

import (
	"context"
	"sync"

	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	// eventsKept is how many of the newest events can still be read.
	eventsKept = 4096
	// eventsAtOnce bounds what one reader copies at a time.
	eventsAtOnce = 256
)

// Events keeps the newest 4,096 events for readers now and later. Writing never waits, and costs the same with no reader and with
// a hundred: a reader has a place in the one ring, not a queue of its own. A reader that is further behind than the ring is
// long is told how many events it missed. Safe for concurrent use; the zero value is ready.
type Events struct {
	mu      sync.Mutex
	ring    []api.Event   // the event with id n is at (n-1) % eventsKept
	last    uint64        // id of the newest; 0: none
	changed chan struct{} // closed at the next event; nil: no reader waits
	closed  bool
}

// Add gives an event the next ID, from 1, keeps it and returns the ID. It shares what e points to, which must not change.
func (b *Events) Add(e api.Event) uint64 {
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

// Close ends all readers that follow, once they have read what is kept.
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

// Newest returns the ID of the last event; 0: there was none.
func (b *Events) Newest() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// next returns the oldest events with an id greater than after and up to until, at
// most eventsAtOnce, and how many before them are gone. more is nil when no event
// will follow, else closed when there are some.
func (b *Events) next(after, until uint64) (events []api.Event, missed uint64, more <-chan struct{}) {
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

// Read gives yield the kept events after an ID, from the calling goroutine, and with follow those that come. An ID greater than
// the newest one is of an earlier master, and counts as 0. The first event after a gap says in Missed how many are gone. Read
// returns yield's error, or that of ctx, or nil at the end: without follow, or when the book is closed.
func (b *Events) Read(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error {
	newest := b.Newest()
	if after > newest {
		after = 0 // of an earlier master
	}
	until := newest
	if follow {
		until = ^uint64(0)
	}
	// A reader from the beginning has missed nothing that it asked for.
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
