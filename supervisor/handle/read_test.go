package handle

import (
	"bytes"
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

// TestFloodIsReadSlowly: what a worker sends above its allowance waits in its channel.
func TestFloodIsReadSlowly(t *testing.T) {
	facts := make(chan Fact)
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const above = 250 * time.Millisecond
	frames := allowedAtOnce/changeCost + int(allowedRate*above/time.Second/changeCost)
	began := time.Now()
	w := Worker{options: Options{Post: func(f Fact) bool { facts <- f; return true }}}
	go w.read(conn, nil)
	go func() {
		defer child.Close()
		const pieces = 64
		deletion := []byte{0, 0, 0, 4, byte(ipc.TypeDelete), 0, 0, 0, 1, 0, 1, 'k'} // of k, with ID 1
		for left := frames + 1; left > 0; left -= pieces {
			if _, err := child.Write(bytes.Repeat(deletion, min(left, pieces))); err != nil {
				return
			}
		}
	}()
	for i := range frames + 1 {
		if f, ok := (<-facts).(Frame); !ok || f.Frame == nil {
			t.Fatalf("message %d is not a frame", i)
		}
	}
	if took := time.Since(began); took < above {
		t.Errorf("%d changes were read within %s", frames, took)
	}
	if _, ok := (<-facts).(ChannelEnded); !ok {
		t.Error("the end of the channel is not told")
	}
}
