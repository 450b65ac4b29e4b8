package machine

import (
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
)

// TestStats: memory is there at once, and CPUs when two measurements are far enough apart.
func TestStats(t *testing.T) {
	t.Parallel()
	var m Meter
	first := m.Stats()
	free, total := first[members.MemoryFree], first[members.MemoryTotal]
	if free <= 0 || free > total || total < 1<<24 {
		t.Errorf("%v of %v bytes", free, total)
	}
	if _, told := first[members.CPUIdle]; told {
		t.Error("one measurement tells nothing of the CPUs")
	}
	eventually.True(t, "cpu_idle", func() bool {
		idle, told := m.Stats()[members.CPUIdle]
		if told && (idle < 0 || idle > 1) {
			t.Errorf("%v", idle)
		}
		return told
	})
}

func TestTake(t *testing.T) {
	t.Parallel()
	var m Meter
	m.take(time.Unix(1, 0), cpu{idle: 100, all: 400})
	if m.has {
		t.Error("after one")
	}
	m.take(time.Unix(2, 0), cpu{idle: 101, all: 404})
	if !m.has || m.idle != 0.25 {
		t.Errorf("%v, %t", m.idle, m.has)
	}
	m.take(time.Unix(3, 0), cpu{idle: 101, all: 404}) // a counter that stands still says nothing new
	if m.idle != 0.25 {
		t.Errorf("%v, %t", m.idle, m.has)
	}
}
