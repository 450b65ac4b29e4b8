package ipc

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestBoardBetweenProcesses: a worker in a process of its own gets the board with its slot, counts, and is killed in the
// middle of a request. All that it counted stays readable.
func TestBoardBetweenProcesses(t *testing.T) {
	if os.Getenv("IPC_TEST_CHILD") != "" {
		countAsWorker(t)
		return
	}
	keepsFDs(t)
	a, child, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBoardBetweenProcesses$")
	cmd.Env = append(os.Environ(), "IPC_TEST_CHILD=1", EnvChannel+"=3")
	cmd.ExtraFiles = []*os.File{child}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child.Close()
	defer func() {
		_ = cmd.Process.Kill()
		err := cmd.Wait()
		if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Errorf("the worker ended by itself: %v: %s", err, out.String())
		}
	}()

	b := newTestBoard(t)
	before := Monotonic()
	b.Row(5, 1).Reset(42)
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	order := Assign{Slot: 5, Seat: 1, Board: true, Hot: hot, Rows: rows}
	err = a.Write(order)
	Discard(order)
	if err != nil {
		t.Fatal(err)
	}
	next[Ready](t, a)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(); err == nil {
		t.Error("the worker lives on")
	}

	r, l := b.Row(5, 1), b.Line(5)
	if got := l.Held(1); got != 2*Weight-Busy || l.Held(0) != 0 {
		t.Errorf("the worker held %d, another %d", got, l.Held(0))
	}
	if at := l.AcceptedAt.Load(); at < before || at > Monotonic() {
		t.Errorf("accepted at %d, it was between %d and %d", at, before, Monotonic())
	}
	start, ok := r.Oldest()
	if !ok || start < before || start > Monotonic() || r.InFlight() != 1 {
		t.Errorf("oldest of %d requests began at %d, %t, it was between %d and %d", r.InFlight(), start, ok, before, Monotonic())
	}
	s := r.Stats()
	if s.Requests != 2 || s.Errors() != 1 || s.Classes[1] != 1 || s.Sent != 1000 || s.Histogram.Count() != 2 {
		t.Errorf("%+v", s)
	}
	if r.Worker.Load() != 42 || b.TableAt(9) != 5 {
		t.Errorf("worker %d, table %d", r.Worker.Load(), b.TableAt(9))
	}
	r.Reset(43)
	if s := r.Stats(); s != (Stats{}) || r.InFlight() != 0 || r.Worker.Load() != 43 {
		t.Errorf("the next worker finds %+v", s)
	}
}

// countAsWorker is the child: two connections, one of them idle; three requests, one of them in flight.
func countAsWorker(t *testing.T) {
	c, err := FromEnv()
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	f := next[Assign](t, c)
	b, err := OpenBoard(f.Hot, f.Rows)
	if err != nil {
		t.Fatal(err)
	}
	l, r := b.Line(f.Slot), b.Row(f.Slot, f.Seat)
	if r.Worker.Load() != 42 {
		t.Fatalf("the row belongs to worker %d", r.Worker.Load())
	}
	l.AcceptedAt.Store(Monotonic())
	l.Accepted[f.Seat].Add(2)
	l.Released[f.Seat].Add(Busy)
	for _, status := range []int{200, 500} {
		cell := r.Begin(Monotonic())
		r.Classes[Class(status)].Add(1)
		r.Sent.Add(500)
		r.Histogram[Bucket(3_000_000)].Add(1)
		r.End(cell)
	}
	r.Begin(Monotonic())
	b.SetTable(9, uint16(f.Slot))
	if err := c.Write(Ready{}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read()
	t.Fatal("the master does not kill:", err)
}
