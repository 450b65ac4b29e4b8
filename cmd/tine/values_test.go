//go:build linux

package main

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
)

// TestManyValues: with as many cached values as are promised, and with values that add up to more than any queue holds, new
// workers get all of them and become ready: in a rollout, after a crash of a worker, and after a crash of the master.
func TestManyValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ keys, size int }{{10_000, 1}, {1500, 32 << 10}} {
		t.Run(fmt.Sprintf("%d of %d bytes", c.keys, c.size), func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoCalm, kept)
			publisher := m.workers("")[0]
			m.mustAsk(publisher, fmt.Sprintf("/publish?from=0&to=%d&size=%d&keys=%d", c.keys, c.size, c.keys))
			holds := func(what string) {
				t.Helper()
				for slot, pid := range m.workers("") {
					for _, i := range []int{0, c.keys / 2, c.keys - 1} {
						var epoch uint64
						var value int
						text := m.mustAsk(pid, "/value?key=k"+strconv.Itoa(i))
						if n, _ := fmt.Sscan(text, &epoch, &value); n != 2 || value != i {
							t.Errorf("%s: slot %d has %.40q for k%d", what, slot, text, i)
						}
					}
				}
			}
			m.roll()
			holds("after a rollout")
			mark := m.mark()
			syscall.Kill(m.workers("")[1], syscall.SIGKILL)
			m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 1 })
			holds("after a crash of a worker")
			mark = m.mark()
			syscall.Kill(m.master(), syscall.SIGKILL)
			m.awaitFrom(mark, is("adopted the workers of the last master"))
			m.roll()
			holds("after a crash of the master")
			if lost := m.since(0, is("messages to worker dropped: it does not read its channel")); len(lost) > 0 {
				t.Errorf("dropped: %s", lost[0].Raw)
			}
			m.stop()
		})
	}
}
