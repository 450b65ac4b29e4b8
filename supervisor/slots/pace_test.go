package slots

import (
	"testing"
	"time"
)

// TestMendPace: however often a slot is seen to be deaf, it is tried once a second and told of once a minute, and anew after
// it was mended.
func TestMendPace(t *testing.T) {
	s := &Sockets{}
	now := time.Now()
	tried, told := 0, 0
	for range 20 * 120 { // two minutes of a watcher that looks twenty times a second
		if s.MendDue(1, now) {
			tried++
			if s.TellDue(1, now) {
				told++
			}
		}
		now = now.Add(50 * time.Millisecond)
	}
	if tried != 120 || told != 2 {
		t.Errorf("tried %d times and told %d times in two minutes, want 120 and 2", tried, told)
	}
	if !s.MendDue(2, now) || !s.TellDue(2, now) {
		t.Error("another slot waits for the first one")
	}
	s.MendDone(1)
	if !s.MendDue(1, now) || !s.TellDue(1, now) {
		t.Error("a slot that was mended in between waits")
	}
}
