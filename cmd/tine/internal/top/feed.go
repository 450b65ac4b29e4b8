package top

import (
	"context"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
)

// feed is a bounded queue between a stream and the model. The model takes all items at once, so that a flood of lines is not
// a redraw each. A full feed drops the oldest items and counts them. Safe for concurrent use.
type feed[T any] struct {
	limit int           // the most items in a batch
	pace  time.Duration // from the first item until a batch is taken

	mu    sync.Mutex
	items []T
	lost  int
	ended bool
	err   error
	news  chan struct{} // holds one token while there is something to take
}

// batch is what a feed held when it was taken.
type batch[T any] struct {
	items []T
	lost  int // items that were dropped, all older than items
	ended bool
	err   error // why it ended; nil: without a failure
}

func newFeed[T any](limit int, pace time.Duration) *feed[T] {
	return &feed[T]{limit: limit, pace: pace, news: make(chan struct{}, 1)}
}

// put adds an item and never waits.
func (f *feed[T]) put(item T) {
	f.mu.Lock()
	if len(f.items) >= 2*f.limit { // twice the limit, so that few puts move the items
		f.lost += len(f.items) - f.limit
		f.items = append(f.items[:0], f.items[len(f.items)-f.limit:]...)
	}
	f.items = append(f.items, item)
	f.mu.Unlock()
	f.wake()
}

// end marks the end of the stream. No put follows it.
func (f *feed[T]) end(err error) {
	f.mu.Lock()
	f.ended, f.err = true, err
	f.mu.Unlock()
	f.wake()
}

func (f *feed[T]) wake() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// next waits until there are items or the end, and takes all. ok is false if ctx ended first.
func (f *feed[T]) next(ctx context.Context) (b batch[T], ok bool) {
	select {
	case <-f.news:
	case <-ctx.Done():
		return b, false
	}
	if f.pace > 0 {
		select {
		case <-time.After(f.pace):
		case <-ctx.Done():
			return b, false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if more := len(f.items) - f.limit; more > 0 {
		f.lost += more
		f.items = f.items[more:]
	}
	b = batch[T]{f.items, f.lost, f.ended, f.err}
	f.items, f.lost = nil, 0
	return b, true
}

// streamMsg is what has come of a stream, with the feed that it came from.
type streamMsg[T any] struct {
	id   int
	feed *feed[T]
	batch[T]
}

// next waits for what comes of a stream.
func next[T any](ctx context.Context, id int, f *feed[T]) tea.Cmd {
	return func() tea.Msg {
		if b, ok := f.next(ctx); ok {
			return streamMsg[T]{id, f, b}
		}
		return nil
	}
}
