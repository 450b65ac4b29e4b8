package desk

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a loop that is the test's own goroutine, with apps whose workers are no processes.
type stage struct {
	Loop  // what no test here reaches
	t     *testing.T
	d     *Desk
	state *apps.Apps
	apps  []*crew.App
	keys  int
}

// newStage has one app, web, with two workers that are ready.
func newStage(t *testing.T) *stage {
	l, err := logs.Open(config.Log{}, nil, io.Discard, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	s := &stage{t: t, state: apps.New(apps.Limits{})}
	s.d = New(s, s, l)
	c := config.NewApp("web", "true")
	c.Workers = 2
	set, err := listen.Open(nil, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	a := &crew.App{Name: c.Name, Config: c, Pool: pool.New(crew.PoolConfig(c)), Sockets: crew.NewSockets(set), Members: map[pool.WorkerID]*crew.Worker{}, Releases: launch.NewReleases(launch.NewPins(nil), 1, launch.New(c))}
	s.Number(a)
	s.apps = append(s.apps, a)
	s.Step(a, pool.Start{})
	s.getReady()
	s.state.Step(time.Now(), apps.Restore{Runs: []apps.Restored{{ID: a.ID(), Spec: apps.Spec{Name: a.Name}, Facts: a.Pool.Brief()}}})
	a.Run = s.state.Run(a.ID())
	return s
}

func (s *stage) State() *apps.Apps                         { return s.state }
func (s *stage) Apps() []*crew.App                         { return s.apps }
func (s *stage) App(id apps.ID) *crew.App                  { return s.apps[0] }
func (s *stage) Resolved(c config.App) config.App          { return c }
func (s *stage) Rearm()                                    {}
func (s *stage) LookSoon(time.Time)                        {}
func (s *stage) Changed(*crew.App)                         {}
func (s *stage) Event(*crew.App, zerolog.Level, api.Event) {}
func (s *stage) Number(a *crew.App)                        { s.keys++; a.Key = s.keys }
func (s *stage) CloseSurplus(*crew.App)                    {}
func (s *stage) Enter(a *crew.App) apps.Opened             { return apps.Opened{ID: a.ID()} }
func (s *stage) Kill(*crew.Worker)                         {}

func (s *stage) Step(a *crew.App, ev pool.Event) {
	for _, e := range a.Pool.Step(time.Now(), ev) {
		if r, ok := e.(pool.Record); ok {
			s.d.Heard(a, r, journal.EventOf(r, "").Message)
		}
	}
}

// getReady has each worker that is starting be ready.
func (s *stage) getReady() {
	a := s.apps[0]
	for _, slot := range a.Pool.Status().Slots {
		for _, w := range slot.Workers {
			if w.State == pool.StateStarting {
				s.Step(a, pool.Spawned{ID: w.ID, PID: 1000 + int(w.ID)})
				s.Step(a, pool.Ready{ID: w.ID})
			}
		}
	}
}

// ask acts on the message at once: the caller is the loop until it waits for the ends.
func (s *stage) ask(with func(chan<- Begun) Message) (Begun, error) {
	answer := make(chan Begun, 1)
	with(answer).Act(s.d)
	return <-answer, nil
}

// begin places an order and returns what the caller waits with.
func (s *stage) begin(o api.Order, steps chan<- api.Progress) Begun {
	b, _ := s.ask(func(answer chan<- Begun) Message { return ticket{o, steps, answer} })
	return b
}

// TestPlace: a caller hears the steps and one end, and the desk forgets it then.
func TestPlace(t *testing.T) {
	s := newStage(t)
	to := 4
	var told []api.Progress
	ask := func(with func(chan<- Begun) Message) (Begun, error) {
		b, err := s.ask(with)
		s.getReady()
		s.d.Judge()
		return b, err
	}
	if err := Place(t.Context(), ask, nil, api.Order{Verb: api.VerbScale, App: "web", N: to}, func(p api.Progress) { told = append(told, p) }); err != nil {
		t.Fatal(err)
	}
	if last := told[len(told)-1]; len(told) < 3 || !last.Final || !last.OK || last.Done != last.Total {
		t.Errorf("told %+v", told)
	}
	if n := s.apps[0].Pool.Status().Ready; n != to {
		t.Errorf("%d workers are ready", n)
	}
	if len(s.d.callers.of) != 0 || s.d.book.Len() != 0 {
		t.Errorf("%d callers and %d orders are left", len(s.d.callers.of), s.d.book.Len())
	}
}

// TestPlaceRefused: what cannot begin is refused at once, and nobody is remembered.
func TestPlaceRefused(t *testing.T) {
	s := newStage(t)
	var refusal *api.Refusal
	err := Place(t.Context(), s.ask, nil, api.Order{Verb: api.VerbReload, App: "other"}, func(api.Progress) { t.Error("told of a step") })
	if !errors.As(err, &refusal) || len(s.d.callers.of) != 0 {
		t.Errorf("%v, and %d callers", err, len(s.d.callers.of))
	}
	gone := errors.New("ended")
	if err := Place(t.Context(), func(func(chan<- Begun) Message) (Begun, error) { return Begun{}, gone }, nil, api.Order{}, nil); err != gone {
		t.Errorf("%v of a loop that has ended", err)
	}
}

// TestCallerThatHasGone: an order goes on without its caller, and the loop waits for no caller, however many steps there are.
func TestCallerThatHasGone(t *testing.T) {
	s := newStage(t)
	steps := make(chan api.Progress) // nobody reads
	to := 40
	b := s.begin(api.Order{Verb: api.VerbScale, App: "web", N: to}, steps)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.getReady()
	s.d.Judge()
	if s.apps[0].Pool.Status().Ready != to || len(s.d.callers.of) != 0 {
		t.Errorf("%d workers are ready, and %d callers are left", s.apps[0].Pool.Status().Ready, len(s.d.callers.of))
	}
}

// TestEndOfTheLoop: a caller hears the ends that the loop has told, and of the others that it does not know.
func TestEndOfTheLoop(t *testing.T) {
	over := make(chan struct{})
	close(over)
	s := newStage(t)
	to := 3
	b := s.begin(api.Order{Verb: api.VerbScale, App: "web", N: to}, nil)
	if _, err := b.Wait(t.Context(), over); !errors.Is(err, api.ErrCut) {
		t.Errorf("%v of an order under way", err)
	}
	s.getReady()
	s.d.Judge()
	if failures, err := b.Wait(t.Context(), over); err != nil || len(failures) != 0 {
		t.Errorf("%v, %v of an order that has ended before", failures, err)
	}
}

// TestFollow: the rollouts of a config are parts of its caller's request, and those that something else brings are not.
func TestFollow(t *testing.T) {
	for name, reason := range map[string]string{"the config's": "config", "another one's": "SIGUSR2"} {
		s, answer := newStage(t), make(chan Begun, 1)
		followed := s.d.Follow("config", answer)
		s.Step(s.apps[0], pool.Roll{Reason: reason})
		followed()
		if b := <-answer; b.Err != nil || (b.parts == 1) != (reason == "config") {
			t.Errorf("%s rollout: %+v", name, b)
		}
	}
}

// TestNextRunOfAnEndedOrder: what is opened for an order that has ended meanwhile is closed, and nothing of it is started.
func TestNextRunOfAnEndedOrder(t *testing.T) {
	for name, end := range map[string]func(*stage, Message){
		"the order has ended": func(s *stage, m Message) { m.Act(s.d) },
		"the loop has ended":  func(_ *stage, m Message) { m.(Owner).Drop() },
	} {
		s := newStage(t)
		c := config.NewApp("late", "true")
		c.Listen = []string{"127.0.0.1:0"}
		next, err := crew.Open((&config.Config{Apps: []config.App{c}}).WithDefaults().Apps[0], nil, &crew.Given{}, launch.NewPins(nil))
		if err != nil {
			t.Fatal(err)
		}
		address := next.Listening()[0]
		end(s, opened{orders.ID(1 << 40), &nextRun{old: s.apps[0], next: next}, nil})
		if c, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://")); err == nil {
			c.Close()
			t.Errorf("%s: %s is still open", name, address)
		}
		if len(s.d.prepared) != 0 {
			t.Errorf("%s: a run is prepared", name)
		}
	}
	opened{orders.ID(1), &nextRun{}, errors.New("it cannot be opened")}.Drop()
}
