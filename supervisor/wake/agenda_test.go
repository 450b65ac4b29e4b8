package wake

import (
	"testing"
	"time"
)

// TestAgenda: what is due comes in the order of its times, and nothing before.
func TestAgenda(t *testing.T) {
	var a Agenda[int]
	now := time.Unix(1e9, 0)
	if _, ok := a.Take(now); ok || !a.Next().IsZero() {
		t.Error("an empty agenda has something due")
	}
	for _, n := range []int{5, 1, 4, 2, 3} {
		a.Put(now.Add(time.Duration(n)), n)
	}
	for n := 1; n <= 5; n++ {
		at := now.Add(time.Duration(n))
		if next := a.Next(); !next.Equal(at) {
			t.Errorf("the next one is due at %s, want %s", next, at)
		}
		if m, ok := a.Take(at.Add(-1)); ok {
			t.Errorf("%d comes before its time", m)
		}
		if m, ok := a.Take(at); !ok || m != n {
			t.Errorf("%d (%v) comes instead of %d", m, ok, n)
		}
	}
	if !a.Next().IsZero() {
		t.Error("something is left")
	}
}
