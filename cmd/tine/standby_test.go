//go:build linux

package main

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// parked waits for the nth standby from a mark on to be initialised.
func (m *tine) parked(mark int) event {
	m.t.Helper()
	return m.awaitFrom(mark, is("parked"))
}

// readyIn waits for the next worker of a slot.
func (m *tine) readyIn(mark, slot int) event {
	m.t.Helper()
	return m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == slot })
}

// TestStandbyHeals: a program that takes two seconds to start is back at once after
// kill -9, since one stood by; another one is started behind it.
func TestStandbyHeals(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, `env: {MEMBER_START: "2s"}`, "standby: 1", "$CALM"))
	standby := m.parked(0)
	var took time.Duration
	for range 3 { // the machine may be busy with something else: the best of three counts
		l := m.load(2)
		victim := m.workers("")[1]
		mark := m.mark()
		killed := time.Now()
		syscall.Kill(victim, syscall.SIGKILL)
		ready := m.readyIn(mark, 1)
		took = ready.Time.Sub(killed)
		if ready.PID != standby.PID {
			t.Errorf("worker %d took over, want the standby %d", ready.PID, standby.PID)
		}
		if e := m.awaitFrom(mark, is("assigned", standby.PID)); e.Slot != 1 {
			t.Errorf("the standby got another slot: %s", e.Raw)
		}
		m.answered(standby.PID)
		if failed := l.end(); len(failed) > 2 {
			t.Errorf("%d requests failed, want at most one for each client: %v", len(failed), failed)
		}
		if n := len(m.since(mark, is("backoff"))); n > 0 {
			t.Error("a backoff for a crash that the standby has healed")
		}
		standby = m.parked(mark)
		if took < 500*time.Millisecond {
			break
		}
	}
	if took >= 500*time.Millisecond {
		t.Errorf("healed after %s", took)
	}
	m.stop()
}

// TestStandbyOverARollout: the standbys are renewed with the workers, and take part in
// it; the load loses nothing. They end with everything else.
func TestStandbyOverARollout(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, "standby: 2", "$CALM"))
	eventually.True(t, "two standbys are there", func() bool { return len(m.since(0, is("parked"))) == 2 })
	old := m.standing()
	l := m.load(4)
	mark := m.mark()
	m.roll()
	eventually.True(t, "the standbys are renewed", func() bool {
		now := m.standing()
		return len(now) == 2 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
	for _, pid := range old {
		m.awaitFrom(mark, is("exited", pid))
	}
	l.lossless(t)
	// The new ones are of the new generation: one heals a slot, with what is on disk now.
	victim := m.workers("")[0]
	mark = m.mark()
	standing := m.standing()
	syscall.Kill(victim, syscall.SIGKILL)
	if e := m.readyIn(mark, 0); !slices.Contains(standing, e.PID) || e.Generation != 2 {
		t.Errorf("who took over is none of the standbys %v: %s", standing, e.Raw)
	}
	m.stop()
}

// standing are the PIDs of the standbys that are initialised and have no slot.
func (m *tine) standing() (pids []int) {
	m.since(0, func(e event) bool {
		switch e.Message {
		case "parked":
			pids = append(pids, e.PID)
		case "assigned", "exited", "terminating":
			pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == e.PID })
		}
		return false
	})
	slices.Sort(pids)
	return pids
}

// TestStandbyCrash: a standby that is killed is replaced, without any other effect.
func TestStandbyCrash(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, "standby: 1", "$CALM"))
	before := m.workers("")
	l := m.load(2)
	for range 3 {
		standby := m.parked(0).PID
		if now := m.standing(); len(now) > 0 {
			standby = now[0]
		}
		mark := m.mark()
		syscall.Kill(standby, syscall.SIGKILL)
		m.awaitFrom(mark, is("exited", standby))
		if e := m.parked(mark); e.PID == standby {
			t.Error("the standby that was killed is back")
		}
	}
	l.lossless(t)
	if now := m.workers(""); now[0] != before[0] || now[1] != before[1] {
		t.Errorf("workers %v, want the old ones %v", now, before)
	}
	m.stop()
}

// TestStopWithStandbys: also while one is starting, and at once.
func TestStopWithStandbys(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "tine.yaml", steered(2, `env: {MEMBER_GATE: "$DIR/gate"}`, "standby: 2", "$FAST"))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	eventually.True(t, "two standbys are there", func() bool { return len(m.standing()) == 2 })
	fifo(t, dir, "gate")
	mark := m.mark()
	syscall.Kill(m.standing()[0], syscall.SIGKILL)
	m.awaitFrom(mark, is("spawned")) // and held at its start
	m.stop()
}

// TestStandbyTakesAStalledSlot: a worker that was replaced for being stalled has a
// standby as its successor.
func TestStandbyTakesAStalledSlot(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, "standby: 1", "stall_timeout: 100ms", "drain_delay: 50ms", "drain_timeout: 100ms", "kill_after: 100ms"))
	standby := m.parked(0).PID
	victim := m.workers("")[0]
	mark := m.mark()
	syscall.Kill(victim, syscall.SIGSTOP)
	if e := m.readyIn(mark, 0); e.PID != standby {
		t.Errorf("worker %d took over, want the standby %d", e.PID, standby)
	}
	m.awaitFrom(mark, is("exited", victim))
	m.parked(mark)
	m.stop()
}
