package master

import (
	"container/heap"
	"testing"
	"time"
)

type numbered int

func (numbered) apply(*loop) {}

// TestAgenda: what is due comes in the order of its times, and nothing before.
func TestAgenda(t *testing.T) {
	var a agenda
	now := time.Unix(1e9, 0)
	if !a.next().IsZero() || a.take(now) != nil {
		t.Error("an empty agenda has something due")
	}
	for _, n := range []int{5, 1, 4, 2, 3} {
		heap.Push(&a, entry{now.Add(time.Duration(n)), numbered(n)})
	}
	for n := 1; n <= 5; n++ {
		at := now.Add(time.Duration(n))
		if !a.next().Equal(at) || a.take(at.Add(-1)) != nil || a.take(at) != numbered(n) {
			t.Errorf("%d does not come at its time", n)
		}
	}
	if len(a) != 0 {
		t.Errorf("%d are left", len(a))
	}
}
