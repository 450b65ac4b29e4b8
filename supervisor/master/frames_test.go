package master

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/wake"
	"golang.org/x/sys/unix"
)

// stage is a loop that nobody runs, with one app and one worker that never reads.
type stage struct {
	*loop
	m   *crew.Worker
	log *bytes.Buffer
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s, err := New(config.Single("web", nil, 1, []string{"true"}))
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	l := newLoop(s)
	if l.logs, err = logs.Open(config.Log{Format: "json"}, nil, log, true); err != nil {
		t.Fatal(err)
	}
	s.logs, l.handlers = l.logs, handlers.New(s.functions, l.logs)
	l.newCrew()
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	a := &crew.App{Name: "web", Config: config.App{Name: "web"}, Pool: pool.New(crew.PoolConfig(config.NewApp("web", "true"))), Members: map[pool.WorkerID]*crew.Worker{}}
	m := &crew.Worker{App: a, ID: 1, Greeting: true, Subscribed: true}
	m.Worker = handle.Attach(&proc.Process{}, conn, l.crew.Starter().Options(m))
	a.Members[1] = m
	a.Key = l.estate.NewKey()
	o := l.enter(a)[0]
	o.Facts.Phase = pool.PhaseRunning
	l.decide(apps.Restore{Runs: []apps.Restored{{ID: o.ID, Spec: o.Spec, Facts: o.Facts}}})
	t.Cleanup(func() {
		m.CloseChannel("the test ends")
		child.Close()
		l.values.Close()
		l.logs.Close()
	})
	return &stage{l, m, log}
}

// said ends the log and returns it.
func (s *stage) said() string {
	s.logs.Close()
	return s.log.String()
}

func encoded(t *testing.T, v any) *ipc.Payload {
	t.Helper()
	p, err := cache.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

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

// TestUnreadAnswersEndTheChannel: who asks and does not read the answers is replaced.
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
		s.m.Greeting = false
		s.frame(s.m, f)
		if s.m.Open() {
			t.Errorf("%T was taken before the hello", f)
		}
		if s.values.Len() > 0 {
			t.Errorf("%T took effect before the hello", f)
		}
	}
}

// TestStandbyBeforeTheSnapshot: who asks for a slot too early would get it twice, with
// both seats of the scoreboard.
func TestStandbyBeforeTheSnapshot(t *testing.T) {
	s := newStage(t)
	s.m.Slot, s.m.Subscribed = -1, false
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
	s.m.App.Sockets = crew.NewSockets(set)
	seen := make(chan listen.Notice, 16)
	if err := set.Watch(listen.Watch{Pulse: time.Millisecond, Notify: func(n listen.Notice) { seen <- n }}); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	late := time.After(10 * time.Second)
	for set.Board().Header().Asleep.Load() == 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			t.Fatal("it does not rest")
		}
	}
	s.frame(s.m, ipc.Wake{})
	select {
	case n := <-seen:
		if n.What != listen.Pulse {
			t.Errorf("notice %+v, want a pulse", n)
		}
	case <-late:
		t.Error("it rests on")
	}
	if !s.m.Open() {
		t.Error("the worker lost its channel")
	}
}

// TestSteeringIsNotHeldUpByAFlood: the loop waits for a quiet moment to steer, but not
// for ever.
func TestSteeringIsNotHeldUpByAFlood(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 2, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	a := s.m.App
	a.Sockets = crew.NewSockets(set)
	a.Steering.Order([]int{1})
	s.s.inbox <- reloadEnded{}
	s.crew.SteerInTime(true)
	if !a.Steering.Due() {
		t.Error("it does not wait for what comes together")
	}
	for range inboxSize {
		s.crew.SteerInTime(true)
	}
	if a.Steering.Due() {
		t.Errorf("not steered after %d messages", inboxSize)
	}
}

// TestSurplusSlots: of an app that has ended, slots stay which the other one's workers
// are still leaving. A socket that they hold would keep its number in the kernel's
// group, and the next one that is opened would be taken for another.
func TestSurplusSlots(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 4, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	b, config := s.m.App, config.NewApp("web", "true")
	config.Workers = 3
	b.Pool, b.Sockets = pool.New(crew.PoolConfig(config)), crew.NewSockets(set)
	step := func(events ...pool.Event) {
		for _, e := range events {
			b.Pool.Step(time.Now(), e)
		}
	}
	step(pool.Start{})
	for id := range 3 {
		step(pool.Spawned{ID: pool.WorkerID(id + 1), PID: 10 + id}, pool.Ready{ID: pool.WorkerID(id + 1)})
	}
	step(pool.Scale{N: 1})
	a := &crew.App{Name: "old", Sockets: b.Sockets}
	s.closeSurplus(a)
	if n := set.Slots(); n != 3 {
		t.Errorf("%d slots are open while 3 workers run, want 3", n)
	}
	step(pool.Exited{ID: 2}, pool.Exited{ID: 3})
	s.closeSurplus(a)
	if n := set.Slots(); n != 1 {
		t.Errorf("%d slots are open, want the one that is wanted", n)
	}
}

// TestTotalsOfWhoIsGone: its connections have ended with it, and are nobody's load.
func TestTotalsOfWhoIsGone(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	a := s.m.App
	a.Sockets = crew.NewSockets(set)
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

// TestReadyWithoutTheOneThatFinished: a worker that exits 0 before all are ready is
// not waited for.
func TestReadyWithoutTheOneThatFinished(t *testing.T) {
	s := newStage(t)
	a := s.m.App
	config := config.NewApp("web", "true")
	config.Workers = 2
	a.Pool = pool.New(crew.PoolConfig(config))
	set, err := listen.Open(nil, 2, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Sockets = crew.NewSockets(set)
	a.Sockets.Use()
	a.Sockets.Use() // so that another app has them watched
	other := &crew.Worker{App: a, ID: 2, Slot: 1, Worker: &handle.Worker{}}
	a.Members[2] = other
	s.wakeup = wake.NewAlarm()
	for _, e := range []pool.Event{pool.Start{}, pool.Spawned{ID: 1, PID: 11}, pool.Spawned{ID: 2, PID: 12}} {
		a.Pool.Step(time.Now(), e)
	}
	s.decide(apps.Resumed{})
	s.memberReady(s.m)
	select {
	case <-s.s.ready:
		t.Fatal("ready with one of two")
	default:
	}
	s.exited(other, handle.Exited{})
	select {
	case <-s.s.ready:
	default:
		t.Errorf("not ready: %+v", a.Pool.Status())
	}
	if !s.m.Greeted {
		t.Error("the worker that is left was not greeted")
	}
}

// TestSocketsAreSharedWhenThereAreDescriptorsAgain: until then the worker is not
// blamed.
func TestSocketsAreSharedWhenThereAreDescriptorsAgain(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s.m.App.Sockets = crew.NewSockets(set)
	s.m.App.Sockets.Use()
	s.m.Subscribed = false
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
	s.doLater(s.agenda.Next())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !s.m.Open() || s.m.Seat != nil {
		t.Fatalf("the worker is blamed, or has what was not there: %s", s.said())
	}
	s.doLater(s.agenda.Next())
	if s.m.Seat == nil {
		t.Error("the worker has not got its sockets")
	}
	if log := s.said(); strings.Count(log, "RLIMIT_NOFILE") != 1 {
		t.Errorf("the log does not name the limit once: %s", log)
	}
}
