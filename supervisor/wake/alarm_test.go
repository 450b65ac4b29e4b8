package wake

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAlarm comes at the time that was set last, and not at others.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, now := NewAlarm(), time.Now()
		defer a.Stop()
		rings := func(within time.Duration) (after time.Duration) {
			select {
			case at := <-a.C():
				return at.Sub(now)
			case <-time.After(within):
				return -1
			}
		}
		if after := rings(2 * time.Hour); after != -1 {
			t.Fatalf("set to nothing, it comes after %s", after)
		}
		now = time.Now()
		a.Set(now.Add(time.Hour), now)
		a.Set(now.Add(time.Minute), now)
		if after := rings(2 * time.Hour); after != time.Minute {
			t.Errorf("it comes after %s, want a minute", after)
		}
		now = time.Now()
		a.Set(now.Add(-time.Minute), now)
		if after := rings(time.Hour); after != 0 {
			t.Errorf("a time in the past comes after %s, want at once", after)
		}
		if late := a.Late(time.Now()); late != 0 {
			t.Errorf("set to a time in the past, it is %s late", late)
		}
		now = time.Now()
		a.Set(now.Add(time.Minute), now)
		a.Set(time.Time{}, now)
		if after := rings(time.Hour); after != -1 {
			t.Errorf("called off, it comes after %s", after)
		}
	})
}

// TestLate: a loop that is woken a little late has only been busy, and a pause is reported once.
func TestLate(t *testing.T) {
	a, now := NewAlarm(), time.Now()
	defer a.Stop()
	at := now.Add(time.Hour)
	for _, step := range []struct {
		set  bool
		now  time.Time
		late time.Duration
	}{
		{false, at.Add(time.Hour), 0}, // it was set to nothing
		{true, at.Add(-time.Minute), 0},
		{false, at.Add(lateness), 0},
		{false, at.Add(lateness + 1), lateness + 1},
		{false, at.Add(time.Hour), 0},
		{true, at.Add(time.Minute), time.Minute},
	} {
		if step.set {
			a.Set(at, now)
		}
		if late := a.Late(step.now); late != step.late {
			t.Errorf("%s after its time it is %s late, want %s", step.now.Sub(at), late, step.late)
		}
	}
}

func TestEarliest(t *testing.T) {
	one, two := time.Unix(1, 0), time.Unix(2, 0)
	if at := Earliest(time.Time{}, two, one, time.Time{}); !at.Equal(one) {
		t.Errorf("the earliest is %s, want %s", at, one)
	}
	if at := Earliest(time.Time{}); !at.IsZero() {
		t.Errorf("the earliest of none is %s", at)
	}
}
