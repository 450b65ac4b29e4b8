package slots

import (
	"bytes"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestTotals go on in the run that inherits them and below the master that restores them, and what a reader has does not change.
func TestTotals(t *testing.T) {
	var first Totals
	if len(first.Save()) != 0 || len(first.Shown()) != 0 {
		t.Error("empty totals have slots")
	}
	first.Add(1, ipc.Stats{Opened: 5})
	shown := first.Shown()
	first.Add(0, ipc.Stats{Opened: 1})
	next := first.Shown()
	if len(shown) != 2 || shown[0].Opened != 0 || next[0].Opened != 1 {
		t.Errorf("slot 0 shows %d and then %d, want 0 and 1", shown[0].Opened, next[0].Opened)
	}
	if next[1] != shown[1] || next[1].Opened != 5 {
		t.Error("slot 1, which has not changed, has another copy, or not its 5")
	}
	var inherited, restored Totals
	inherited.Inherit(&first)
	inherited.Add(1, ipc.Stats{Opened: 1})
	restored.Restore(inherited.Save())
	if a, b, c := first.Shown()[1].Opened, inherited.Shown()[1].Opened, restored.Shown()[1].Opened; a != 5 || b != 6 || c != 6 {
		t.Errorf("slot 1 has %d, inherited %d, restored %d; want 5, 6, 6", a, b, c)
	}
	before := bytes.Clone(restored.Save())
	if !bytes.Equal(before, inherited.Save()) {
		t.Error("what was restored is saved as something else")
	}
	restored.Add(0, ipc.Stats{Opened: 1})
	if bytes.Equal(before, restored.Save()) {
		t.Error("a change is not saved")
	}
	restored.Restore([]byte{1})
	if n := restored.Shown()[0].Opened; n != 2 {
		t.Errorf("slot 0 has %d after what cannot be restored, want 2", n)
	}
}
