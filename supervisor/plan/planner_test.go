package plan

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a loop that is the test's own goroutine. It decides, and carries out nothing.
type stage struct {
	*Planner
	t       *testing.T
	state   *apps.Apps
	inbox   chan Message
	events  []string
	entered []*crew.App
	numbers int
	steps   []string // what was done with a config, in order
}

func newStage(t *testing.T) *stage {
	l, err := logs.Open(config.Log{}, io.Discard, io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	s := &stage{t: t, state: apps.New(apps.Limits{}), inbox: make(chan Message, 4)}
	s.Planner = New(s, &config.Config{}, Options{Logs: l, Estate: s, Values: func(*config.Config) { s.steps = append(s.steps, "values") }, Follow: func(reason string, answer chan<- desk.Begun) func() {
		return func() { answer <- desk.Begun{} }
	}})
	return s
}

func (s *stage) Post(m Message) bool                             { s.inbox <- m; return true }
func (s *stage) Done() <-chan struct{}                           { return nil }
func (s *stage) Go(f func())                                     { go f() }
func (s *stage) Event(_ *crew.App, _ zerolog.Level, e api.Event) { s.events = append(s.events, e.Kind) }
func (s *stage) Stale()                                          {}
func (s *stage) State() *apps.Apps                               { return s.state }
func (s *stage) Decide(ev apps.Event) {
	if _, is := ev.(apps.Configure); is {
		s.steps = append(s.steps, "apps")
	}
	s.state.Step(time.Now(), ev)
}
func (s *stage) Apps() []*crew.App     { return nil }
func (s *stage) App(apps.ID) *crew.App { return nil }
func (s *stage) Given() *crew.Given    { return &crew.Given{} }
func (s *stage) Pins() *launch.Pins    { return launch.NewPins(nil) }
func (s *stage) Number(a *crew.App)    { s.numbers++; a.Key = s.numbers }
func (s *stage) Changed(*crew.App)     {}
func (s *stage) SaveAllSoon()          {}
func (s *stage) Enter(all ...*crew.App) (opened []apps.Opened) {
	s.entered = append(s.entered, all...)
	for _, a := range all {
		opened = append(opened, apps.Opened{ID: a.ID(), Spec: crew.SpecOf(a.Config), Facts: a.Pool.Brief()})
	}
	return opened
}

// act acts on what was opened.
func (s *stage) act() { eventually.Receive(s.t, "what was opened", s.inbox).Act(s.Planner) }

// with is a config of one app.
func with(name string, listen ...string) *config.Config {
	a := config.NewApp(name, "true")
	a.Listen = listen
	return &config.Config{Apps: []config.App{a}}
}

// TestNewestWaits: while a config is being opened the next one waits, of several the newest, and the callers of the others are told.
func TestNewestWaits(t *testing.T) {
	s := newStage(t)
	first, second, third := with("a"), &config.Config{}, with("c")
	overtaken, applied := make(chan desk.Begun, 1), make(chan desk.Begun, 1)
	s.Apply(first)
	ApplyFor{second, overtaken}.Act(s.Planner)
	ApplyFor{third, applied}.Act(s.Planner)
	if !s.Busy() || len(s.inbox) > 1 {
		t.Fatal("more than one config is being opened")
	}
	s.act()
	if b := <-overtaken; b.Err == nil || !strings.Contains(b.Err.Error(), "newer configuration") {
		t.Errorf("%v of the config that was overtaken", b.Err)
	}
	if s.Config().Apps[0].Name != "a" || !s.Busy() || len(applied) != 0 {
		t.Errorf("%s runs, busy: %v, %d answers", s.Config().Apps[0].Name, s.Busy(), len(applied))
	}
	s.act()
	if b := <-applied; b.Err != nil || s.Busy() || s.Config().Apps[0].Name != "c" || len(s.entered) != 2 || len(s.callers) != 0 {
		t.Errorf("%v, busy: %v, %s runs, %d apps entered, %d callers left", b.Err, s.Busy(), s.Config().Apps[0].Name, len(s.entered), len(s.callers))
	}
	for _, a := range s.entered {
		a.Sockets.Release()
	}
}

// TestValuesBeforeApps: workers that a config starts are to have the values of that config.
func TestValuesBeforeApps(t *testing.T) {
	s := newStage(t)
	s.Apply(with("a"))
	s.act()
	if !slices.Equal(s.steps, []string{"values", "apps"}) {
		t.Errorf("%q", s.steps)
	}
	for _, a := range s.entered {
		a.Sockets.Release()
	}
}

// TestNothingChangesUnlessAllOpens: one app that cannot be opened refuses the config, and what was opened for it is closed.
func TestNothingChangesUnlessAllOpens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	s := newStage(t)
	c := with("good", free)
	bad := config.NewApp("bad", "/no/such/program")
	c.Apps = append(c.Apps, bad)
	answer := make(chan desk.Begun, 1)
	ApplyFor{c, answer}.Act(s.Planner)
	s.act()
	if b := <-answer; b.Err == nil || len(s.entered) != 0 || len(s.Config().Apps) != 0 || s.Busy() {
		t.Errorf("%v, %d apps entered, %d run", b.Err, len(s.entered), len(s.Config().Apps))
	}
	if len(s.events) != 1 || s.events[0] != api.EventConfigRefused {
		t.Errorf("events %q", s.events)
	}
	if c, err := net.Dial("tcp", free); err == nil {
		c.Close()
		t.Error("the address of the app that could be opened is still open")
	}
}

// TestStopping: a master that stops applies nothing, also what is open already.
func TestStopping(t *testing.T) {
	s := newStage(t)
	answer := make(chan desk.Begun, 1)
	ApplyFor{with("a"), answer}.Act(s.Planner)
	s.Decide(apps.Begin{})
	s.Decide(apps.Stop{Reason: "test"})
	s.act()
	if b := <-answer; b.Err == nil || len(s.entered) != 0 {
		t.Errorf("%v, %d apps entered", b.Err, len(s.entered))
	}
	ApplyFor{with("b"), answer}.Act(s.Planner)
	if b := <-answer; b.Err == nil || s.Busy() {
		t.Errorf("%v, busy: %v", b.Err, s.Busy())
	}
	s.Apply(with("c"))
	if s.Busy() {
		t.Error("a config is being opened")
	}
}
