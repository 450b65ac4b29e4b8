package gate

import (
	"fmt"
	"math"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestMoved: one member more moves 1/(n+1) of the keys by rendezvous, and nearly all by crc32-mod.
func TestMoved(t *testing.T) {
	t.Parallel()
	list := func(n int) (all []members.Member) {
		for i := range n {
			all = append(all, members.Member{ID: fmt.Sprint("m", i), Address: "h:1", Weight: 1, State: members.Down})
		}
		return all
	}
	for _, c := range []struct {
		way    string
		n      int
		lo, hi float64
	}{{Rendezvous, 3, 0.23, 0.27}, {CRC32Mod, 3, 0.72, 0.78}, {Maglev, 3, 0.23, 0.30}, {Rendezvous, 200, 0, 0.03}, {Least, 3, 0, 0}} {
		got, err := Moved(Options{Way: c.way}, list(c.n), list(c.n+1))
		if err != nil || got < c.lo || got > c.hi || math.IsNaN(got) {
			t.Errorf("%s, %d members: %v, %v", c.way, c.n, got, err)
		}
	}
	if got, err := Moved(Options{Way: Rendezvous}, nil, list(3)); got != 0 || err != nil {
		t.Errorf("of no members: %v, %v", got, err)
	}
}
