package book

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

var errEnough = errors.New("enough")

// read returns the ids of the events, with how many were missed before each.
func readBook(t *testing.T, b *Events, after uint64, follow bool, most int) (ids, missed []uint64) {
	t.Helper()
	err := b.Read(soon(t), after, follow, func(e api.Event) error {
		ids, missed = append(ids, e.ID), append(missed, e.Missed)
		if len(ids) == most {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return ids, missed
}

func TestEventsAreResumed(t *testing.T) {
	var b Events
	if ids, _ := readBook(t, &b, 0, false, -1); len(ids) != 0 {
		t.Errorf("an empty book has %v", ids)
	}
	for range 10 {
		b.Add(api.Event{})
	}
	if ids, _ := readBook(t, &b, 7, false, -1); len(ids) != 3 || ids[0] != 8 {
		t.Errorf("after 7: %v", ids)
	}
	// Of an earlier master.
	if ids, missed := readBook(t, &b, 1000, false, -1); len(ids) != 10 || missed[0] != 0 {
		t.Errorf("after 1000: %v", ids)
	}
}

func TestOldEventsAreMissed(t *testing.T) {
	var b Events
	for range eventsKept + 100 {
		b.Add(api.Event{})
	}
	ids, missed := readBook(t, &b, 50, false, -1)
	if len(ids) != eventsKept || ids[0] != 101 || missed[0] != 50 || missed[1] != 0 {
		t.Errorf("%d events from %d on, %d missed", len(ids), ids[0], missed[0])
	}
	// A reader that asks for all that is kept has missed nothing.
	if _, missed := readBook(t, &b, 0, false, -1); missed[0] != 0 {
		t.Errorf("%d missed", missed[0])
	}
}

// TestSlowReaderMissesAndKnowsIt: the writer does not wait for it.
func TestSlowReaderMissesAndKnowsIt(t *testing.T) {
	var b Events
	b.Add(api.Event{})
	var total, missed uint64
	err := b.Read(soon(t), 0, true, func(e api.Event) error {
		if e.ID == 1 { // while it is busy with the first one
			for range 3 * eventsKept {
				b.Add(api.Event{})
			}
		}
		total, missed = total+1, missed+e.Missed
		if e.ID == 3*eventsKept+1 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || total+missed != 3*eventsKept+1 || missed != 2*eventsKept {
		t.Errorf("%d read and %d missed: %v", total, missed, err)
	}
}

func TestFollowersEnd(t *testing.T) {
	var b Events
	got, ended := make(chan api.Event), make(chan error, 2)
	go func() {
		ended <- b.Read(context.Background(), 0, true, func(e api.Event) error { got <- e; return nil })
	}()
	b.Add(api.Event{Kind: "one"})
	if e := <-got; e.Kind != "one" {
		t.Errorf("%+v", e)
	}
	b.Close()
	if err := <-ended; err != nil {
		t.Errorf("at the end of the book: %v", err)
	}
	var open Events
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := open.Read(ctx, 0, true, func(api.Event) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the end of the context: %v", err)
	}
}

func BenchmarkEvent(b *testing.B) {
	var book Events
	for b.Loop() {
		book.Add(api.Event{Kind: "ready", App: "web"})
	}
}

// soon bounds every wait of these tests.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
