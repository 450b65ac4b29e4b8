package worker

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

// TestStandbyIsTheMastersToKnow: a worker that waits for a slot says so, once.
func TestStandbyIsTheMastersToKnow(t *testing.T) {
	w, m := withMaster(t, nil)
	got := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := w.Listeners()
			got <- err
		}()
	}
	wait(t, "standby", m.waits)
	if w.Slot() != -1 {
		t.Errorf("slot is %d", w.Slot())
	}
	m.assign()
	for range 3 {
		if err := wait(t, "listeners", got); err != nil {
			t.Error(err)
		}
	}
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m) // behind it nothing of standby can come any more
	if len(m.waits) != 0 {
		t.Error("said twice")
	}
}

func TestAssignedWorkerIsNoStandby(t *testing.T) {
	w, m := withMaster(t, nil)
	m.assign()
	wait(t, "assigned", w.assigned)
	if _, err := w.Listener(); err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	if len(m.waits) != 0 {
		t.Error("it says standby though it did not wait")
	}
}

func TestDrainOfAStandby(t *testing.T) {
	w, m := withMaster(t, nil)
	ret := make(chan error, 1)
	go func() { ret <- w.Serve(http.NotFoundHandler()) }()
	wait(t, "standby", m.waits)
	m.send(ipc.Drain{Reason: "stop", Handover: true})
	expect[ipc.Bye](m)
	if err := wait(t, "Serve returns", ret); err != nil {
		t.Error(err)
	}
}

// TestStandbyHealsAtOnce shows what of the time to heal a crash is the worker's: from the assignment on the wire to the
// word that it serves. The bound is far above what it takes, for a machine that does much else.
func TestStandbyHealsAtOnce(t *testing.T) {
	var took []time.Duration
	for range 15 {
		w, m := withMaster(t, nil)
		ret := make(chan error, 1)
		go func() { ret <- w.Serve(http.NotFoundHandler()) }()
		wait(t, "standby", m.waits)
		f := m.assignment()
		withBoard(t, &f)
		start := time.Now()
		m.send(f)
		expect[ipc.Ready](m)
		took = append(took, time.Since(start))
		w.Close()
		wait(t, "Serve returns", ret)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("assign to ready: median %v, fastest %v, slowest %v", median, took[0], took[len(took)-1])
	if median > 20*time.Millisecond {
		t.Errorf("median %v", median)
	}
}
