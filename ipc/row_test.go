package ipc

import (
	"math"
	"sync"
	"testing"
)

// TestCellsUnderConcurrency: no cell is given to two requests, and all are free at the end.
func TestCellsUnderConcurrency(t *testing.T) {
	r := newTestBoard(t).Row(0, 0)
	const goroutines, rounds = 96, 2000
	var owners [Cells]sync.Mutex
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range rounds {
				start := int64(g*rounds + i + 1)
				c := r.Begin(start)
				if c < 0 {
					continue
				}
				if !owners[c].TryLock() {
					t.Errorf("cell %d is taken twice", c)
					return
				}
				if got := r.Cells[c].Load(); got != start {
					t.Errorf("cell %d has %d, wanted %d", c, got, start)
				}
				owners[c].Unlock()
				r.End(c)
			}
		})
	}
	for range 1000 {
		if n := r.InFlight(); n < 0 || n > goroutines {
			t.Errorf("%d requests in flight", n)
		}
		if start, ok := r.Oldest(); ok && (start < 1 || start > goroutines*rounds) {
			t.Errorf("oldest is %d", start)
		}
	}
	all.Wait()
	if n := r.InFlight(); n != 0 {
		t.Errorf("%d cells are still taken", n)
	}
}

func TestCellsFull(t *testing.T) {
	r := &Row{}
	take(r, Cells)
	if c := r.Begin(5); c != -1 || r.Late.Load() != 1 {
		t.Errorf("cell %d of a full row, %d late", c, r.Late.Load())
	}
	r.End(-1)
	r.End(Cells)
	if n := r.InFlight(); n != Cells {
		t.Errorf("%d in flight", n)
	}
	if start, ok := r.Oldest(); start != 1 || !ok {
		t.Errorf("oldest is %d, %t", start, ok)
	}
	for i := range Cells {
		r.End(i)
	}
	for _, start := range []int64{0, -1, math.MinInt64} {
		if c := r.Begin(start); c != -1 {
			t.Errorf("a request that started at %d has cell %d", start, c)
		}
	}
	if r.InFlight() != 0 || r.Late.Load() != 4 {
		t.Errorf("%d in flight, %d late", r.InFlight(), r.Late.Load())
	}
}

// TestCellsAtHalf holds the promise that hardly a request is late while half of the cells are free.
func TestCellsAtHalf(t *testing.T) {
	r := &Row{}
	var held [Cells / 2]int
	const rounds = 200_000
	for i := range rounds {
		r.End(held[i%len(held)])
		held[i%len(held)] = r.Begin(int64(i) + 1)
	}
	if late := r.Late.Load(); late > 20 {
		t.Errorf("%d of %d requests found no cell", late, rounds)
	}
}

func TestReset(t *testing.T) {
	r := newTestBoard(t).Row(3, 1)
	words := rowWords(r)
	for i := range words {
		words[i].Store(math.MaxUint64)
	}
	before := Monotonic()
	r.Reset(77)
	for i := range words {
		if v := words[i].Load(); v != 0 && i > 1 {
			t.Errorf("the word at %d is %d", i*8, v)
		}
	}
	if at := r.Started.Load(); r.Worker.Load() != 77 || at < before || at > Monotonic() {
		t.Errorf("worker %d since %d", r.Worker.Load(), at)
	}
}

// TestHostileValues: a worker can write anything at any time; the master reads on.
func TestHostileValues(t *testing.T) {
	b := newTestBoard(t)
	r, l := b.Row(0, 0), b.Line(0)
	words := rowWords(r)
	for _, v := range []uint64{math.MaxUint64, 1 << 63, 1<<63 - 1, 1, 0xdeadbeefdeadbeef} {
		for i := range words {
			words[i].Store(v)
		}
		s := r.Stats()
		sum := s
		for range 5 {
			sum.Add(s)
		}
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			if sum.Quantile(q) < 0 || s.Quantile(q) < 0 {
				t.Errorf("quantile %v is %s", q, s.Quantile(q))
			}
		}
		if n := r.InFlight(); n != 0 && n != Cells {
			t.Errorf("%d in flight", n)
		}
		if start, ok := r.Oldest(); ok != (int64(v) > 0) || ok && start != int64(v) {
			t.Errorf("oldest is %d, %t with cells of %d", start, ok, int64(v))
		}
		if c := r.Begin(1); c != -1 {
			t.Errorf("cell %d, and all are taken", c)
		}
		l.Accepted[0].Store(v)
		l.Released[0].Store(^v)
		_ = l.Held(0)
	}
	l.Assigned.Store(1)
	l.Accepted[1].Store(1)
	l.Released[1].Store(3 * Weight)
	if got := l.Held(1); got != -2*Weight {
		t.Errorf("a seat that gave back more than it had holds %d", got)
	}
	// A start in the future has a negative age, and hides no request that is older.
	r.Reset(1)
	future := Monotonic() + 1<<40
	r.Cells[9].Store(future)
	if start, ok := r.Oldest(); !ok || start != future {
		t.Errorf("oldest is %d, %t", start, ok)
	}
	r.Cells[100].Store(17)
	if start, ok := r.Oldest(); !ok || start != 17 {
		t.Errorf("oldest is %d, %t", start, ok)
	}
}

// TestRowsAllocateNothing: what runs for each request, or each second for each slot, makes no garbage.
func TestRowsAllocateNothing(t *testing.T) {
	r := newTestBoard(t).Row(0, 0)
	var sum Stats
	for name, f := range map[string]func(){
		"Begin and End":    func() { r.End(r.Begin(1)) },
		"Oldest, InFlight": func() { r.Oldest(); r.InFlight() },
		"Stats":            func() { sum.Add(r.Stats()) },
		"Quantile":         func() { sum.Quantile(0.99) },
		"Reset":            func() { r.Reset(1) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
