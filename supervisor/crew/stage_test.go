package crew

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/talk"
	"github.com/tinehq/tine/supervisor/values"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a Crew in a loop that does nothing by itself, with one app and one worker, which has said hello, has got the values, and
// never reads.
type stage struct {
	*Crew
	loop  *fakeLoop
	app   *App
	m     *Worker
	conn  *ipc.Conn // of m
	child *os.File  // the worker's end of it
	log   *bytes.Buffer
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{log: &bytes.Buffer{}}
	l, err := logs.Open(config.Log{Format: "json"}, nil, s.log, true)
	if err != nil {
		t.Fatal(err)
	}
	c := config.NewApp("web", "true")
	s.app = &App{Name: "web", Config: c, Pool: pool.New(PoolConfig(c)), Members: map[pool.WorkerID]*Worker{}, Releases: launch.NewReleases(launch.NewPins(nil), 1, launch.New(c))}
	core := apps.New(apps.Limits{})
	core.Step(time.Now(), apps.Restore{Runs: []apps.Restored{{ID: s.app.ID(), Spec: apps.Spec{Name: "web"}, Facts: pool.Brief{Phase: pool.PhaseRunning}}}})
	s.app.Run = core.Find("web")
	ctx, cancel := context.WithCancel(context.Background())
	s.loop = &fakeLoop{apps: []*App{s.app}, ctx: ctx}
	v := values.New(forValues{s}, func() (files, limit int) { return 8, 64 })
	v.Start(ctx, &l.Logger, nil, nil, nil)
	h := handlers.New(handlers.Functions{OnCall: map[string]handlers.CallHandler{
		"echo": func(_ context.Context, _ handlers.Caller, in []byte) (any, error) { return in, nil },
	}}, l)
	h.Start(ctx, s.loop.Go)
	s.Crew = New(s.loop, Options{Logs: l, Pins: launch.NewPins(nil), Estate: noEstate{}, Values: v, Handlers: h})
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	s.conn, s.child = conn, child
	s.m = &Worker{App: s.app, ID: 1, Talk: talk.State{Channel: talk.Talking}}
	s.m.Worker = handle.Attach(ended(t), conn, s.Starter().Options(s.m))
	s.app.Members[1] = s.m
	t.Cleanup(func() {
		s.m.CloseChannel("the test ends")
		child.Close()
		h.Close()
		cancel()
		v.Close()
		l.Close()
	})
	return s
}

// ended is a process that has ended: signals to it reach nothing.
func ended(t testing.TB) *proc.Process {
	t.Helper()
	p, err := endedOnce()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var endedOnce = sync.OnceValues(func() (*proc.Process, error) {
	command, err := proc.Resolve(proc.Spec{Command: []string{"true"}, Env: os.Environ()})
	if err != nil {
		return nil, err
	}
	p, err := proc.Start(command, proc.Options{})
	if err != nil {
		return nil, err
	}
	<-p.Exited()
	<-p.OutputDone()
	return p, nil
})

// said ends the log and returns it.
func (s *stage) said() string {
	s.logs.Close()
	return s.log.String()
}

func encoded(t testing.TB, v any) *ipc.Payload {
	t.Helper()
	p, err := cache.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fakeLoop is a Loop that keeps what is posted and what is due later. What Go starts has run when it returns.
type fakeLoop struct {
	apps   []*App
	ctx    context.Context
	posted []Message
	later  []Message
	told   []apps.Event
}

func (l *fakeLoop) Post(m Message) bool                            { l.posted = append(l.posted, m); return true }
func (l *fakeLoop) PostUntil(_ <-chan struct{}, m Message) bool    { return l.Post(m) }
func (l *fakeLoop) Done() <-chan struct{}                          { return l.ctx.Done() }
func (l *fakeLoop) Go(f func())                                    { f() }
func (l *fakeLoop) Later(_ time.Duration, m Message)               { l.later = append(l.later, m) }
func (l *fakeLoop) Context() context.Context                       { return l.ctx }
func (l *fakeLoop) Apps() []*App                                   { return l.apps }
func (l *fakeLoop) Decide(ev apps.Event)                           { l.told = append(l.told, ev) }
func (l *fakeLoop) Yields(*App) bool                               { return false }
func (l *fakeLoop) Stopping() bool                                 { return false }
func (l *fakeLoop) Event(a *App, level zerolog.Level, e api.Event) {}
func (l *fakeLoop) Noted(a *App, r pool.Record, text string)       {}
func (l *fakeLoop) Show(*App)                                      {}
func (l *fakeLoop) Stale()                                         {}
func (l *fakeLoop) Replaced(m *Worker, why string)                 {}
func (l *fakeLoop) Find(name string) *App {
	for _, a := range l.apps {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// doLater acts on what is due later.
func (s *stage) doLater() {
	due := s.loop.later
	s.loop.later = nil
	for _, m := range due {
		m.Act(s.Crew)
	}
}

// noEstate keeps nothing.
type noEstate struct{}

func (noEstate) Touched(*App)                    {}
func (noEstate) Changed(*App)                    {}
func (noEstate) TouchedWorker(*Worker)           {}
func (noEstate) SaveChanged()                    {}
func (noEstate) SaveSoon()                       {}
func (noEstate) StoreWorker(*Worker) error       { return nil }
func (noEstate) WorkerStored(*Worker, error)     {}
func (noEstate) RemoveWorker(*Worker)            {}
func (noEstate) RemoveFiles(*Sockets, ...string) {}
func (noEstate) CloseSlot(*Sockets, int)         {}
func (noEstate) KeepSlot(*Sockets, int)          {}
func (noEstate) RemoveSockets(*Sockets)          {}

// forValues is the stage as its values see it.
type forValues struct{ s *stage }

func (v forValues) Post(m values.Message) bool     { return true }
func (v forValues) Go(f func())                    { f() }
func (v forValues) Spread(c cache.Change)          { v.s.Spread(c) }
func (v forValues) Introduce()                     {} // there is no worker yet
func (v forValues) Event(zerolog.Level, api.Event) {}
