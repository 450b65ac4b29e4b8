package snapshot

import (
	"testing"

	"github.com/tinehq/tine/supervisor/pool"
)

// TestLifeless: an app without a worker is lifeless only if none is about to come.
func TestLifeless(t *testing.T) {
	worker := []pool.WorkerStatus{{State: pool.StateStarting}}
	for name, c := range map[string]struct {
		st   pool.Status
		want bool
	}{
		"Ready":    {pool.Status{Wanted: 1, Slots: []pool.SlotStatus{{State: pool.SlotFilled, Workers: worker}}}, true},
		"Backoff":  {pool.Status{Wanted: 1, Slots: []pool.SlotStatus{{State: pool.SlotBackoff}}}, true},
		"Held":     {pool.Status{Wanted: 1, Slots: []pool.SlotStatus{{Held: "drained"}}}, true},
		"Finished": {pool.Status{Wanted: 1, Slots: []pool.SlotStatus{{Finished: true}}}, true},
		"None":     {pool.Status{}, true},
		"Nothing":  {pool.Status{Wanted: 2, Slots: []pool.SlotStatus{{}, {}}}, false},
		"OneOfTwo": {pool.Status{Wanted: 2, Slots: []pool.SlotStatus{{}, {State: pool.SlotFilled, Workers: worker}}}, true},
	} {
		m := &Master{Apps: []*App{{Name: "web", Pool: c.st}}}
		if got := m.Lifeless() == nil; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
