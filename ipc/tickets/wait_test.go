package tickets

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// TestWait: a row that another process frees ends the wait, and so does the end of the context.
func TestWait(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs a futex")
	}
	b := book(t)
	mine, others := opened(t, b), opened(t, b)
	k := reserved(t, mine.Slot(0), 1, 1)
	for range 100 {
		got := make(chan Ticket)
		go func() {
			for {
				seen := mine.Arm()
				if k, ok := mine.Slot(0).Reserve(2, 1); ok {
					got <- k
					return
				}
				if err := mine.Wait(t.Context(), seen); err != nil {
					t.Error(err)
				}
			}
		}()
		others.Slot(0).Release(k)
		k = <-got
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := mine.Arm()
	ended := make(chan error)
	go func() { ended <- mine.Wait(ctx, seen) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended with %v", err)
	}
}

// TestNobodyWaits: where nobody has waited for a while, a row that gets free costs no system call, whatever was written there.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	b := book(t)
	for _, until := range []int64{1, -1, 1 << 62} {
		b.head().waited.Store(until)
		b.Slot(0).Release(reserved(t, b.Slot(0), 1, 1))
		if got := b.head().waited.Load(); got != 0 {
			t.Errorf("somebody waits until %d", got)
		}
		b.Arm()
		if got := b.head().waited.Load(); got <= 1 || got == 1<<62 {
			t.Errorf("armed until %d", got)
		}
	}
}
