package master

import (
	"bytes"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/talk"
	"github.com/tinehq/tine/supervisor/wake"
)

// stage is a loop that nobody runs, with one app and one worker that never reads.
type stage struct {
	*loop
	m    *crew.Worker
	conn *ipc.Conn // of m
	log  *bytes.Buffer
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
	s.logs = l.logs
	l.newCrew()
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	a := &crew.App{Name: "web", Config: config.App{Name: "web"}, Pool: pool.New(crew.PoolConfig(config.NewApp("web", "true"))), Members: map[pool.WorkerID]*crew.Worker{}, Releases: launch.NewReleases(s.pins, 1, launch.New(config.App{Name: "web"}))}
	m := &crew.Worker{App: a, ID: 1, Talk: talk.State{Channel: talk.Talking}}
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
	return &stage{l, m, conn, log}
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
	s.crew.CloseSurplus(a)
	if n := set.Slots(); n != 3 {
		t.Errorf("%d slots are open while 3 workers run, want 3", n)
	}
	step(pool.Exited{ID: 2}, pool.Exited{ID: 3})
	s.crew.CloseSurplus(a)
	if n := set.Slots(); n != 1 {
		t.Errorf("%d slots are open, want the one that is wanted", n)
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
	crew.Heard{Worker: s.m, Fact: handle.Frame{Conn: s.conn, Frame: ipc.Ready{}}}.Act(s.crew)
	select {
	case <-s.s.ready:
		t.Fatal("ready with one of two")
	default:
	}
	s.crew.Exited(other, handle.Exited{})
	select {
	case <-s.s.ready:
	default:
		t.Errorf("not ready: %+v", a.Pool.Status())
	}
	if !s.m.Greeted {
		t.Error("the worker that is left was not greeted")
	}
}
