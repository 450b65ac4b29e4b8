package succession

import (
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestRescueBelievesNoNonsense: one worker that says of itself what cannot be costs the others nothing.
func TestRescueBelievesNoNonsense(t *testing.T) {
	good := ipc.Hello{State: ipc.StateReady, Worker: 7, Slot: 1, Seat: 1, Generation: 3}
	for name, spoil := range map[string]func(*ipc.Hello){
		"nothing":       func(*ipc.Hello) {},
		"a huge slot":   func(h *ipc.Hello) { h.Slot = 1 << 62 },
		"a slot below":  func(h *ipc.Hello) { h.Slot = -1 },
		"another seat":  func(h *ipc.Hello) { h.Seat = 2 },
		"a seat below":  func(h *ipc.Hello) { h.Seat = -1 },
		"a generation":  func(h *ipc.Hello) { h.Generation = 1 << 63 },
		"another's ID":  func(h *ipc.Hello) { h.Worker = 8 },
		"no ID":         func(h *ipc.Hello) { h.Worker = 0 },
		"another state": func(h *ipc.Hello) { h.State = ipc.StateDraining },
	} {
		w := LeftWorker{Key: 1, ID: 7, PID: 2, Hello: good}
		spoil(&w.Hello)
		if got := w.Serves(); got != (name == "nothing") {
			t.Errorf("%s: it serves: %t", name, got)
		}
	}
}
