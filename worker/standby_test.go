package worker

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
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
	eventually.Receive(t, "standby", m.waits)
	if w.Slot() != -1 {
		t.Errorf("slot is %d", w.Slot())
	}
	m.assign()
	for range 3 {
		if err := eventually.Receive(t, "listeners", got); err != nil {
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
	eventually.Receive(t, "assigned", w.assigned)
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
	eventually.Receive(t, "standby", m.waits)
	m.send(ipc.Drain{Reason: "stop", Handover: true})
	expect[ipc.Bye](m)
	if err := eventually.Receive(t, "Serve returns", ret); err != nil {
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
		eventually.Receive(t, "standby", m.waits)
		f := m.assignment()
		withBoard(t, &f)
		start := time.Now()
		m.send(f)
		expect[ipc.Ready](m)
		took = append(took, time.Since(start))
		w.Close()
		eventually.Receive(t, "Serve returns", ret)
	}
	if m := median(t, "assign to ready", took); m > 100*time.Millisecond {
		t.Errorf("median %v", m)
	}
}

func median(t *testing.T, what string, took []time.Duration) time.Duration {
	slices.Sort(took)
	m := took[len(took)/2]
	t.Logf("%s: median %v, fastest %v, slowest %v", what, m, took[0], took[len(took)-1])
	return m
}

// TestStandbyProcessHealsAtOnce is the same with a process that has never served, and a client whose connection waits
// in the slot's queue since before the assignment.
func TestStandbyProcessHealsAtOnce(t *testing.T) {
	var ready, answered []time.Duration
	for range 9 {
		m := newMaster(t)
		fd, err := strconv.Atoi(os.Getenv(ipc.EnvChannel))
		if err != nil {
			t.Fatal(err)
		}
		end := os.NewFile(uintptr(fd), "channel")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WORKER_TEST_ATTACH=1", ipc.EnvChannel+"=3")
		cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{end}, os.Stdout, os.Stderr
		err = cmd.Start()
		end.Close()
		if err != nil {
			t.Fatal(err)
		}
		guard := time.AfterFunc(eventually.Patience(), func() { cmd.Process.Kill() })
		expect[ipc.Hello](m)
		m.send(ipc.Hello{Protocol: ipc.Protocol, PID: 1, App: "web", Worker: 7}, ipc.Snapshot{})
		eventually.Receive(t, "standby", m.waits)
		f := m.assignment()
		b := withBoard(t, &f)
		c := dial(t, f.Listeners[0].Address)
		c.write(hi)
		start := time.Now()
		m.send(f)
		expect[ipc.Ready](m)
		ready = append(ready, time.Since(start))
		c.answer()
		answered = append(answered, time.Since(start))
		c.Close()
		b.empty(1)
		m.send(ipc.Drain{Handover: true, Timeout: eventually.Patience()})
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		guard.Stop()
		m.ln.Close()
	}
	median(t, "assign to ready", ready)
	if m := median(t, "assign to first answer", answered); m > 250*time.Millisecond {
		t.Errorf("median %v", m)
	}
}
