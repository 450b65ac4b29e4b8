package supervisor

import (
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

// TestAllowance: all values at once, then the rate, and no more after a rest than at the start.
func TestAllowance(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := newAllowance(now)
	if d := a.pay(now, allowedAtOnce); d != 0 {
		t.Errorf("what is allowed at once waits for %s", d)
	}
	for range 10 {
		d := a.pay(now, allowedRate)
		if d < 999*time.Millisecond || d > 1001*time.Millisecond {
			t.Fatalf("a second's worth waits for %s", d)
		}
		now = now.Add(d)
	}
	if d := a.pay(now, 0); d > time.Millisecond {
		t.Errorf("nothing waits for %s", d)
	}
	now = now.Add(-time.Hour) // a clock that goes back gives nothing
	if d := a.pay(now, 0); d > time.Millisecond {
		t.Errorf("nothing waits for %s", d)
	}
	now = now.Add(1000 * time.Hour)
	if d := a.pay(now, allowedAtOnce) + a.pay(now, allowedRate); d < 999*time.Millisecond || d > 1001*time.Millisecond {
		t.Errorf("a second's worth more than is allowed at once waits for %s", d)
	}
	// Many small frames are bounded as well.
	a, frames := newAllowance(now), 0
	for a.pay(now, costOfFrame(ipc.Delete{})) == 0 {
		frames++
	}
	if want := allowedAtOnce / changeCost; frames != want {
		t.Errorf("%d changes at once, want %d", frames, want)
	}
}
