package worker

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// alwaysAwake is a waker whose master never rests.
func alwaysAwake() *waker { return &waker{asleep: new(atomic.Int64)} }

// TestConnectionWakesTheMaster: once for each time that it rests, and only then.
func TestConnectionWakesTheMaster(t *testing.T) {
	s, b := counting(t, plain(hello200))
	h := b.board.Header()
	connect := func() {
		c := dial(t, s.addr)
		c.write(hi)
		c.answer()
		c.Close()
		b.holds(0, 0)
	}
	connect()
	for at := int64(1); at <= 3; at++ {
		h.Asleep.Store(at)
		connect()
		expect[ipc.Wake](s.m)
		if n := b.line.Accepted[testSeat].Load(); n < uint64(at) {
			t.Errorf("told before it is counted: %d", n)
		}
		connect() // the master may still be waking up
		h.Asleep.Store(0)
		connect()
	}
	if err := s.send(ipc.Ready{}); err != nil { // anything to see that nothing is before it
		t.Fatal(err)
	}
	expect[ipc.Ready](s.m)
}

// TestWakerTriesAgain if there was no room in the channel: with the next connection.
func TestWakerTriesAgain(t *testing.T) {
	room, told := false, 0
	w := alwaysAwake()
	w.tell = func() bool { told++; return room }
	w.counted()
	if told != 0 {
		t.Fatal("the master is awake")
	}
	w.asleep.Store(7)
	w.counted()
	w.counted()
	room = true
	w.counted()
	w.counted()
	if told != 3 {
		t.Errorf("told %d times, want twice in vain and once", told)
	}
}

// TestWakerTellsOnce of many connections at once.
func TestWakerTellsOnce(t *testing.T) {
	var told atomic.Int64
	w := alwaysAwake()
	w.tell = func() bool { told.Add(1); return true }
	for at := int64(1); at <= 100; at++ {
		w.asleep.Store(at)
		var all sync.WaitGroup
		for range 8 {
			all.Go(w.counted)
		}
		all.Wait()
		if n := told.Load(); n != at {
			t.Fatalf("told %d times in %d rests", n, at)
		}
	}
}

// TestWakerCostsNothing while the master is awake, and while it wakes up.
func TestWakerCostsNothing(t *testing.T) {
	w := alwaysAwake()
	w.tell = func() bool { return true }
	for _, at := range []int64{0, 1} {
		w.asleep.Store(at)
		if n := testing.AllocsPerRun(100, w.counted); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
