package slots

import "testing"

// TestStall: it begins with the first witness and ends with the last.
func TestStall(t *testing.T) {
	var s Stall
	for i, step := range []struct {
		by   Witness
		sees bool
		turn bool // it begins or ends
	}{
		{ByBoard, false, false}, // nothing was seen
		{ByBoard, true, true},
		{ByBoard, true, false},
		{BySignal, true, false},
		{ByBoard, false, false},
		{ByBoard, false, false},
		{BySignal, false, true},
		{BySignal, true, true},
		{BySignal, false, true},
	} {
		do := s.Clear
		if step.sees {
			do = s.See
		}
		if turn := do(step.by); turn != step.turn {
			t.Errorf("step %d: %v, want %v", i, turn, step.turn)
		}
	}
}
