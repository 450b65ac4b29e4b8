//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
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
			const some = 500 // each request has its own time
			for from := 0; from < c.keys; from += some {
				m.mustAsk(publisher, fmt.Sprintf("/publish?from=%d&to=%d&size=%d&keys=%d", from, from+some, c.size, c.keys))
			}
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

// TestValuesLeaveDescriptorsForWorkers: with few descriptors, as many large values as a worker cares to publish leave enough for
// the workers of another app: those that die are replaced, after a crash of the master too. Values of up to 64 KiB are all
// taken; of longer ones, which cost a descriptor each, one too many is refused.
func TestValuesLeaveDescriptorsForWorkers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keys, size int
		refused    bool
	}{{1500, 40 << 10, false}, {500, 100 << 10, true}} {
		t.Run(fmt.Sprintf("%d of %d bytes", c.keys, c.size), func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			write(t, dir, "tine.yaml", twoCalm)
			m := startProgram(t, dir, "/bin/sh", []string{"-c", `ulimit -n 1024 && exec "$0" run -c tine.yaml`, tinePath}, kept)
			m.await(is("all workers are ready"))
			publisher := m.workers("")[0]
			for round := range 2 { // the second time other values of the same keys
				text, err := m.ask(publisher, fmt.Sprintf("/publish?from=%d&to=%d&size=%d&keys=%d", round*c.keys, (round+1)*c.keys, c.size, c.keys))
				if refused := err != nil && strings.Contains(err.Error()+text, "RLIMIT_NOFILE"); refused != c.refused || !refused && err != nil {
					t.Errorf("publishing: %.200s, %v", text, err)
				}
			}
			few := func(when string) {
				t.Helper()
				for _, pid := range []int{m.pid, m.master()} {
					if n := filesOf(t, pid); n > 256 {
						t.Errorf("%s: process %d has %d descriptors", when, pid, n)
					}
				}
			}
			few("with the values")
			mark := m.mark()
			syscall.Kill(m.workers("")[1], syscall.SIGKILL)
			m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 1 })
			mark = m.mark()
			syscall.Kill(m.master(), syscall.SIGKILL)
			m.awaitFrom(mark, is("adopted the workers of the last master"))
			m.roll()
			few("after a crash")
			if lost := m.since(0, is("cached values of the master before are lost until they are set again")); len(lost) > 0 {
				t.Errorf("lost: %s", lost[0].Raw)
			}
			m.stop()
		})
	}
}
