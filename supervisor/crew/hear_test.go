package crew

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/talk"
	"golang.org/x/sys/unix"
)

// TestFloodDoesNotFloodTheLog: dropped messages are counted and not told one by one.
func TestFloodDoesNotFloodTheLog(t *testing.T) {
	s := newStage(t)
	const n = 20_000
	text := strings.Repeat("x", 4096)
	for range n {
		s.note(s.m, ipc.Message{Topic: "t", Payload: encoded(t, text)})
	}
	if !s.m.Open() {
		t.Fatal("a worker that does not read messages lost its channel")
	}
	s.logDropped(s.m, true)
	log := s.said()
	if lines := strings.Count(log, "\n"); lines < 1 || lines > 60 {
		t.Errorf("%d log lines: %.2000s", lines, log)
	}
	if !strings.Contains(log, `"messages":1,`) {
		t.Errorf("the first one is not told at once: %.2000s", log)
	}
}

// TestUnreadAnswersEndTheChannel: a worker that asks and does not read the answers is replaced.
func TestUnreadAnswersEndTheChannel(t *testing.T) {
	s := newStage(t)
	for range 1_000_000 {
		s.frame(s.m, ipc.Call{ID: 1, Method: "none", Payload: encoded(t, "")})
		if !s.m.Open() {
			break
		}
	}
	if s.m.Open() {
		t.Fatal("the channel is still open")
	}
	if log := s.said(); strings.Count(log, "does not read the answers") == 0 || strings.Count(log, "\n") > 10 {
		t.Errorf("log: %.2000s", log)
	}
}

func TestNothingComesBeforeTheHello(t *testing.T) {
	for _, f := range []ipc.Frame{
		ipc.Ready{}, ipc.Bye{}, ipc.Wake{}, ipc.Delete{ID: 1, Key: "k"},
		ipc.Set{ID: 1, Key: "k", Payload: encoded(t, "v")},
		ipc.Call{ID: 1, Method: "m", Payload: encoded(t, "v")},
		ipc.Message{Topic: "t", Payload: encoded(t, "v")},
	} {
		s := newStage(t)
		s.m.Talk.Channel = talk.Introduced
		s.frame(s.m, f)
		if s.m.Open() {
			t.Errorf("%T was taken before the hello", f)
		}
		if s.values.Len() > 0 {
			t.Errorf("%T took effect before the hello", f)
		}
	}
}

// TestStandbyBeforeTheSnapshot: a worker that asks for a slot too early would get it twice, with both seats of the scoreboard.
func TestStandbyBeforeTheSnapshot(t *testing.T) {
	s := newStage(t)
	s.m.Slot, s.m.Talk.Channel = -1, talk.Hailed
	s.frame(s.m, ipc.Standby{})
	if s.m.Open() {
		t.Error("it was taken")
	}
}

// TestWorkerWakesTheWatcher that rests: what it has counted may be all that is to be seen of a connection.
func TestWorkerWakesTheWatcher(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{Best: listen.KindHash})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s.m.App.Sockets = NewSockets(set)
	seen := make(chan listen.Notice, 16)
	if err := set.Watch(listen.Watch{Pulse: time.Millisecond, Notify: func(n listen.Notice) { seen <- n }}); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	eventually.True(t, "the watcher rests", func() bool { return set.Board().Header().Asleep.Load() != 0 })
	s.frame(s.m, ipc.Wake{})
	if n := eventually.Receive(t, "a notice", seen); n.What != listen.Pulse {
		t.Errorf("notice %+v, want a pulse", n)
	}
	if !s.m.Open() {
		t.Error("the worker lost its channel")
	}
}

// TestSteeringIsNotHeldUpByAFlood: the loop waits for a quiet moment to steer, but not for ever.
func TestSteeringIsNotHeldUpByAFlood(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 2, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	a := s.m.App
	a.Sockets = NewSockets(set)
	a.Steering.Order([]int{1})
	s.SteerInTime(true)
	if !a.Steering.Due() {
		t.Error("it does not wait for what comes together")
	}
	for range steerAtMost {
		s.SteerInTime(true)
	}
	if a.Steering.Due() {
		t.Errorf("not steered after %d messages", steerAtMost)
	}
}

// TestTotalsOfAWorkerThatHasEnded: its connections have ended with it, and count as no load.
func TestTotalsOfAWorkerThatHasEnded(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	a := s.m.App
	a.Sockets = NewSockets(set)
	for range 3 { // the seat is free again each time
		if s.m.Seat = a.Sockets.Sit(0, 1); s.m.Seat == nil {
			t.Fatal("no free seat")
		}
		s.m.Seat.Row.Opened.Add(5)
		s.m.Seat.Row.Closed.Add(2)
		s.m.Seat.Row.Heap.Store(1 << 20)
		a.Tally(s.m)
	}
	if got := a.Totals.Shown()[0]; got.Opened != 15 || got.Closed != 15 || got.Heap != 0 {
		t.Errorf("totals %d opened, %d closed, heap %d; want 15, 15, 0", got.Opened, got.Closed, got.Heap)
	}
}

func TestOutOfFiles(t *testing.T) {
	if err := fmt.Errorf("cannot share: %w", syscall.EMFILE); !outOfFiles(err) {
		t.Errorf("%v is a matter of the master", err)
	}
	if outOfFiles(errors.New("not open")) || outOfFiles(nil) {
		t.Error("anything is taken for a lack of descriptors")
	}
}

// TestSocketsAreSharedWhenThereAreDescriptorsAgain: until then the worker is not blamed.
func TestSocketsAreSharedWhenThereAreDescriptorsAgain(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s.m.App.Sockets = NewSockets(set)
	s.m.App.Sockets.Use()
	s.m.Talk.Channel = talk.Hailed
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3 // all lower ones are open, so that none is free, whatever is closed meanwhile
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	s.introduce(s.m)
	s.doLater()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !s.m.Open() || s.m.Seat != nil {
		t.Fatalf("the worker is blamed, or has what was not there: %s", s.said())
	}
	s.doLater()
	if s.m.Seat == nil {
		t.Error("the worker has not got its sockets")
	}
	if log := s.said(); strings.Count(log, "RLIMIT_NOFILE") != 1 {
		t.Errorf("the log does not name the limit once: %s", log)
	}
}

// TestRefusedValue: a worker is told that it cannot set a value, and keeps its channel.
func TestRefusedValue(t *testing.T) {
	s := newStage(t)
	s.frame(s.m, ipc.Set{ID: 1, Key: "", Payload: encoded(t, "v")})
	if !s.m.Open() || s.values.Len() != 0 {
		t.Errorf("it is set, or the refusal ended the channel: %s", s.said())
	}
}
