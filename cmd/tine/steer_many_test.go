//go:build linux

package main

import (
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"golang.org/x/sys/unix"
)

// room skips a test for which the limits of this process are too small.
func room(t *testing.T, files, processes uint64) {
	t.Helper()
	for _, l := range []struct {
		which int
		need  uint64
		name  string
	}{{unix.RLIMIT_NOFILE, files, "RLIMIT_NOFILE"}, {unix.RLIMIT_NPROC, processes, "RLIMIT_NPROC"}} {
		var has unix.Rlimit
		if err := unix.Getrlimit(l.which, &has); err == nil && has.Max < l.need {
			t.Skipf("SKIPPED: %s: %s is %d here, and this needs %d", t.Name(), l.name, has.Max, l.need)
		}
	}
}

// TestManySlots: 256 workers; each gets connections, one that is stopped gets none, and
// all end.
func TestManySlots(t *testing.T) { // not parallel: it takes the whole machine for a moment
	const many = 256
	room(t, 4096, 4096)
	m := startReady(t, steered(many, "stall_timeout: off", "gomaxprocs: 1", "$FAST"))
	kind := m.await(is("starting")).Steering
	if kind == "ebpf" {
		m.admitted(many)
	}
	victim := m.workers("")[many/2]
	mark := m.mark()
	syscall.Kill(victim, syscall.SIGSTOP)
	m.awaitFrom(mark, is("stalled", victim))
	answers, silent := m.hold(2*many).ask(t, patience)
	if len(silent) > 0 || kind == "ebpf" && len(bySlot(answers)) != many-1 {
		t.Errorf("%d connections wait, the others are served by %d slots, want %d", len(silent), len(bySlot(answers)), many-1)
	}
	syscall.Kill(victim, syscall.SIGCONT)
	m.awaitFrom(mark, is("resumed", victim))
	eventually.True(t, "it gets connections again", func() bool {
		answers, _ := m.hold(many).ask(t, patience)
		return bySlot(answers)[many/2] > 0 || kind != "ebpf"
	})
	m.stop()
}
