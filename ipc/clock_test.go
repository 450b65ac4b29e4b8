package ipc

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestMonotonicIsTheSystems: what other processes and the kernel read differs by less than a measurement takes. The bound
// leaves room for a machine that is busy while the process starts.
func TestMonotonicIsTheSystems(t *testing.T) {
	const slack = 1_000_000
	for range 100 {
		before := systemClock(t)
		got := Monotonic()
		after := systemClock(t)
		if got < before-slack || got > after+slack {
			t.Fatalf("%d ns, the system's clock went from %d to %d", got, before, after)
		}
	}
}

func TestMonotonicNeverGoesBack(t *testing.T) {
	last := Monotonic()
	for range 100_000 {
		now := Monotonic()
		if now < last || now <= 0 {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
	if n := testing.AllocsPerRun(100, func() { Monotonic() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func systemClock(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(monotonicClock, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}
