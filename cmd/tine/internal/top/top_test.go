package top

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// fakeMaster gives the live view the answers of a test.
type fakeMaster struct {
	mu     sync.Mutex
	status func(context.Context) (api.Status, error)
	orders []api.Order
	steps  []api.Progress
	fails  error
	lines  []api.LogLine
	events []api.Event

	gateways api.Gateways
	asked    []api.LogQuery
}

func (f *fakeMaster) Status(ctx context.Context) (api.Status, error) { return f.status(ctx) }

func (f *fakeMaster) Gateways(context.Context, string) (api.Gateways, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gateways, f.fails
}

func (f *fakeMaster) Do(_ context.Context, o api.Order, progress func(api.Progress)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, o)
	for _, p := range f.steps {
		progress(p)
	}
	return f.fails
}

func (f *fakeMaster) Logs(_ context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	for _, l := range f.lines {
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeMaster) EventsLast(_ context.Context, _ uint64, _ int, _ bool, yield func(api.Event) error) error {
	for _, e := range f.events {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// stage runs a model without a terminal and without time: what it wants to do later
// is kept in waits until the test lets it happen.
type stage struct {
	t      *testing.T
	m      *model
	master *fakeMaster
	waits  []tea.Msg
	quit   bool
}

func newStage(t *testing.T, st api.Status, width, height int) *stage {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f := &fakeMaster{status: func(context.Context) (api.Status, error) { return st, nil }}
	s := &stage{t: t, master: f, m: newModel(ctx, f, allOf, false)}
	s.m.pace = 0
	s.m.after = func(_ time.Duration, msg tea.Msg) tea.Cmd {
		s.waits = append(s.waits, msg)
		return nil
	}
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	s.m.keep(st)
	return s
}

func (s *stage) send(msg tea.Msg) {
	_, cmd := s.m.Update(msg)
	s.run(cmd)
}

// run carries commands out, and what comes of them.
func (s *stage) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	case tea.QuitMsg:
		s.quit = true
	default:
		s.send(msg)
	}
}

// later lets all that waits happen once.
func (s *stage) later() {
	waits := s.waits
	s.waits = nil
	for _, msg := range waits {
		s.send(msg)
	}
}

// keys types each of them; what is longer than a character is the name of a key.
func (s *stage) keys(all ...string) {
	named := map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab,
		"backspace": tea.KeyBackspace, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "end": tea.KeyEnd, "home": tea.KeyHome}
	for _, key := range all {
		if code, ok := named[key]; ok {
			s.send(tea.KeyPressMsg{Code: code})
			continue
		}
		if key == "ctrl+c" {
			s.send(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
			continue
		}
		for _, r := range key {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// screen is what the view shows; it fails the test where that is not the screen's size.
func (s *stage) screen() string {
	s.t.Helper()
	lines := strings.Split(s.m.View().Content, "\n")
	if len(lines) > s.m.height {
		s.t.Errorf("%d lines on a screen of %d", len(lines), s.m.height)
	}
	for _, l := range lines {
		if n := ansi.StringWidth(l); n > s.m.width {
			s.t.Errorf("a line of %d columns on a screen of %d: %q", n, s.m.width, l)
		}
	}
	return strings.Join(lines, "\n")
}

func (s *stage) shows(all ...string) {
	s.t.Helper()
	text := s.screen()
	for _, want := range all {
		if !strings.Contains(text, want) {
			s.t.Errorf("the screen does not show %q:\n%s", want, text)
		}
	}
}

func (s *stage) foot() string {
	s.t.Helper()
	text := s.screen()
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// shopStatus is a master with a healthy app and one that gave up.
func shopStatus() api.Status {
	return api.Status{
		Version: "v1.2.3", PID: 4000, UptimeS: 100, Name: "shop", Steering: "ebpf", Cache: api.CacheStatus{Epoch: 12},
		Apps: []api.App{
			{
				Name: "web", State: api.AppRunning, Generation: 3, Desired: 3, Ready: 2, Listen: []string{"127.0.0.1:7000"},
				Steering: "ebpf", Policy: "least", RestartsTotal: 2,
				Workers: []api.Worker{
					{Slot: 0, ID: 7, PID: 4711, State: "ready", Generation: 3, UptimeS: 90, RSSBytes: 12 << 20, CPUPercent: 31, InFlight: 2, Connections: 5, Requests: 1000, P50MS: 1.25, P99MS: 42},
					{Slot: 1, ID: 8, PID: 4712, State: "ready", Generation: 3, RSSBytes: 14 << 20, Requests: 500, Errors: 10, P50MS: 0.4, P99MS: 7, Stalled: "no answer for 5s", OldestMS: 5100},
					{Slot: 2, State: "backoff", Restarts: 2, LastExit: "SIGSEGV"},
				},
				Standbys: []api.Worker{{Slot: -1, ID: 9, PID: 4714, State: "ready", Generation: 3, RSSBytes: 1 << 20}},
			},
			{Name: "job", State: api.AppGaveUp, Desired: 1, Error: "no database", Policy: "least", Steering: "hash"},
		},
	}
}

func TestTopAsksBeforeEachChange(t *testing.T) {
	two := 2
	zero := 0
	for _, c := range []struct {
		name     string
		keys     []string
		question string
		answer   []string
		order    api.Order // Verb empty: none
	}{
		{"reload", []string{"r"}, "reload all workers of web? y/N", []string{"y"}, api.Order{Verb: "reload", App: "web"}},
		{"reload of a worker's app", []string{"j", "r"}, "reload all workers of web?", []string{"y"}, api.Order{Verb: "reload", App: "web"}},
		{"no", []string{"r"}, "reload all", []string{"n"}, api.Order{}},
		{"enter is no", []string{"r"}, "reload all", []string{"enter"}, api.Order{}},
		{"esc", []string{"S"}, "stop all workers of web?", []string{"esc"}, api.Order{}},
		{"stop", []string{"S"}, "stop all workers of web?", []string{"Y"}, api.Order{Verb: "stop", App: "web"}},
		{"drain", []string{"j", "j", "j", "d"}, "drain web/2?", []string{"y"}, api.Order{Verb: "drain", App: "web", Slot: &two}},
		{"drain of an app", []string{"d"}, "choose the worker", []string{"y"}, api.Order{}},
		{"drain of a standby", []string{"j", "j", "j", "j", "d"}, "choose the worker", []string{"y"}, api.Order{}},
		{"scale", []string{"s"}, "scale web from 3 workers to", []string{"1x5", "backspace", "6", "enter"}, api.Order{Verb: "scale", App: "web", N: 16}},
		{"scale by", []string{"s"}, "scale web", []string{"-1", "enter"}, api.Order{Verb: "scale", App: "web", N: -1, By: true}},
		{"scale to nothing", []string{"s"}, "scale web", []string{"enter"}, api.Order{}},
		{"scale to rubbish", []string{"s"}, "scale web", []string{"+-", "enter"}, api.Order{}},
		{"scale to 0 asks again", []string{"s"}, "scale web", []string{"0", "enter", "n"}, api.Order{}},
		{"scale to 0", []string{"s"}, "scale web", []string{"0", "enter", "y"}, api.Order{Verb: "scale", App: "web"}},
		{"start of an app", []string{"end", "a"}, "start job?", []string{"y"}, api.Order{Verb: "start", App: "job"}},
		{"start of a slot", []string{"j", "j", "j", "a"}, "start web/2?", []string{"y"}, api.Order{Verb: "start", App: "web", Slot: &two}},
		{"drain of the first", []string{"down", "d"}, "drain web/0?", []string{"y"}, api.Order{Verb: "drain", App: "web", Slot: &zero}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, shopStatus(), 80, 24)
			s.keys(c.keys...)
			if foot := s.foot(); !strings.Contains(foot, c.question) {
				t.Errorf("the question is %q, want %q", foot, c.question)
			}
			if len(s.master.orders) > 0 {
				t.Errorf("an order without an answer: %+v", s.master.orders)
			}
			s.keys(c.answer...)
			s.m.feeds.Wait()
			var want []api.Order
			if c.order.Verb != "" {
				c.order.Reason = "tine top"
				want = []api.Order{c.order}
			}
			if !reflect.DeepEqual(s.master.orders, want) {
				t.Errorf("orders %+v, want %+v", s.master.orders, want)
			}
			if s.m.prompt != nil {
				t.Errorf("it still asks %q", s.m.prompt.text)
			}
		})
	}
}

func TestTopShowsHowAnOrderGoes(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	one := 1
	f := newFeed[api.Progress](4, 0)
	s.m.orders = []*underWay{{id: 5, title: "reload of web", step: "begins"}}
	f.put(api.Progress{App: "web", Slot: &one, PID: 4799, State: "starting", Done: 1, Total: 3})
	b, _ := f.next(t.Context())
	s.m.Update(stepsMsg{5, f, b})
	if foot := s.foot(); foot != "reload of web: 1/3, web/1 starting, pid 4799" {
		t.Errorf("progress is %q", foot)
	}
	s.m.Update(stepsMsg{5, f, batch[api.Progress]{ended: true, err: &control.Failed{Progress: api.Progress{Error: "web/1 did not become ready", Output: "no database\x1b[2J\nbye\n"}}}})
	s.shows("reload of web: web/1 did not become ready", "  | no database^[[2J", "  | bye")
	for range notePeriods + 1 {
		s.m.tick()
	}
	if s.foot() != keysText {
		t.Errorf("the note stays: %q", s.foot())
	}
}

func TestTopRates(t *testing.T) {
	st := func(pid int, uptime float64, requests ...uint64) api.Status {
		a := api.App{Name: "web"}
		for i, n := range requests {
			a.Workers = append(a.Workers, api.Worker{Slot: i, Requests: n, Errors: n / 10})
		}
		return api.Status{PID: pid, UptimeS: uptime, Apps: []api.App{a}}
	}
	var r rates
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	all, first := slotKey{"web", wholeApp}, slotKey{"web", 0}
	r.add(st(1, 10, 1000, 0))
	near("the first", r.get(all).perSecond, 0)
	r.add(st(1, 12, 1200, 100))
	near("of the app", r.get(all).perSecond, 150)
	near("of a slot", r.get(first).perSecond, 100)
	near("errors", r.get(first).failed, 10)
	near("history", float64(len(r.get(all).history)), 2) // two seconds passed
	r.add(st(1, 13, 5, 200))
	near("a counter that went back", r.get(first).perSecond, 0)
	near("and the app's", r.get(all).perSecond, 100)
	r.add(st(1, 14, 10))
	if _, ok := r.by[slotKey{"web", 1}]; ok {
		t.Error("a slot that is gone is kept")
	}
	r.add(st(2, 15, 10_000))
	near("another master", r.get(all).perSecond, 0)
	near("its history", float64(len(r.get(all).history)), 0)
	for i := range 200 {
		r.add(st(2, 16+float64(i), 10_000))
	}
	near("a minute", float64(len(r.get(all).history)), minute)
	r.add(st(2, 216, 20_000, 1_000_000))
	near("a new slot's past", r.get(slotKey{"web", 1}).perSecond, 0)
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		values []float64
		width  int
		want   string
	}{
		{nil, 3, "   "},
		{[]float64{0, 0}, 3, " ▁▁"},
		{[]float64{0, 1, 1000}, 3, "▁▂█"},
		{[]float64{1, 1, 2, 2}, 2, "▅█"},
		{[]float64{5}, 0, ""},
	} {
		if got := sparkline(c.values, c.width); got != c.want {
			t.Errorf("sparkline(%v, %d) is %q, want %q", c.values, c.width, got, c.want)
		}
	}
}

func TestTopFilter(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	names := func() (all []string) {
		for _, r := range s.m.rows {
			all = append(all, r.name())
		}
		return all
	}
	for _, c := range []struct {
		typed string
		want  []string
	}{
		{"4712", []string{"web", "web/1"}},
		{"BACKOFF", []string{"web", "web/2"}},
		{"job", []string{"job"}},
		{"nothing", nil},
		{"", []string{"web", "web/0", "web/1", "web/2", "web/standby", "job"}},
	} {
		s.keys("/", "esc", "/", c.typed, "enter")
		if !slices.Equal(names(), c.want) {
			t.Errorf("filter %q leaves %v, want %v", c.typed, names(), c.want)
		}
		if c.typed == "nothing" {
			s.shows("nothing has nothing in its name")
			s.keys("r", "j", "d", "tab", "up", "tab") // no row: no panic
		}
	}
}

func TestTopKeepsTheChosenRow(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	s.keys("j", "j")
	chosen := func(want string) {
		t.Helper()
		row, _ := s.m.selected()
		if row.name() != want {
			t.Errorf("%s is chosen, want %s", row.name(), want)
		}
	}
	chosen("web/1")
	st := shopStatus() // a surge: a second worker in slot 0, before it
	st.Apps[0].Workers = slices.Insert(st.Apps[0].Workers, 0, api.Worker{Slot: 0, ID: 20, State: "starting"})
	s.m.keep(st)
	chosen("web/1")
	st.Apps[0].Workers[2].ID = 30 // crashed, another one is there
	s.m.keep(st)
	chosen("web/1")
	st.Apps[0].Workers = st.Apps[0].Workers[:1] // scaled down
	s.m.keep(st)
	chosen("web")
	st.Apps = st.Apps[1:]
	s.m.keep(st)
	chosen("job")
	st.Apps = nil
	s.m.keep(st)
	s.shows("no app runs here")
	s.m.keep(shopStatus())
	s.shows("4711", "job")
}

func TestTopLog(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	for i := range 40 {
		s.master.lines = append(s.master.lines, api.LogLine{ID: uint64(i + 1), App: "web", Stream: "stdout", Text: fmt.Sprintf("line %d", i+1)})
	}
	s.master.lines[38].Text = "\x1b[2J\x1b[31mred\x07\trubbish " + strings.Repeat("ü", keptBytes)
	s.run(s.m.Init())
	s.later()
	s.m.feeds.Wait()
	s.shows("line 40", "line 38", "^[[2Jred^G    rubbish")
	if strings.ContainsAny(s.screen(), "\x1b\x07") {
		t.Errorf("a worker's bytes reach the terminal: %q", s.screen())
	}
	s.keys("tab", "pgup", "up")
	s.shows("(log, ", "lines back)")
	if strings.Contains(s.screen(), "line 40") {
		t.Errorf("it did not scroll:\n%s", s.screen())
	}
	before := s.m.logWindow()
	s.m.say("one more")
	if !slices.Equal(before, s.m.logWindow()) {
		t.Error("a new line moves what is read")
	}
	s.keys("home")
	s.shows("line 1\n")
	s.keys("end")
	s.shows("one more")

	// Another row is another log, asked for when the user stays there.
	s.keys("esc", "j", "j")
	asked := len(s.master.asked)
	s.waits = s.waits[len(s.waits)-1:]
	s.later()
	s.m.feeds.Wait()
	if q := s.master.asked[len(s.master.asked)-1]; len(s.master.asked) != asked+1 || q.Slot == nil || *q.Slot != 1 || !q.Follow {
		t.Errorf("asked for %+v", s.master.asked[asked:])
	}
	if len(s.m.log) > keptLines {
		t.Errorf("%d lines are kept", len(s.m.log))
	}
}

func TestTopSlowMaster(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	hangs := make(chan struct{})
	asked := 0
	s.master.status = func(context.Context) (api.Status, error) {
		asked++
		<-hangs
		return api.Status{}, context.DeadlineExceeded
	}
	_, cmd := s.m.Update(tickMsg{})
	answers := make(chan tea.Msg, 1)
	go func() { answers <- cmd() }()
	for range 4 {
		s.send(tickMsg{}) // would hang here if it asked again
	}
	s.shows("no answer of the master for 5s", "4711")
	s.keys("j", "r")
	s.shows("reload all workers of web?")
	close(hangs)
	s.send(<-answers)
	s.shows("no answer of the master for 5s: it is busy or hangs")
	s.keys("n")
	if asked != 1 {
		t.Errorf("asked %d times while one question was open", asked)
	}
	s.master.status = func(context.Context) (api.Status, error) { return shopStatus(), nil }
	s.send(tickMsg{})
	s.shows("2 apps, 2/4 workers ready")
}

func TestTopMasterEnds(t *testing.T) {
	s := newStage(t, shopStatus(), 80, 24)
	asked := 0
	s.master.status = func(context.Context) (api.Status, error) {
		asked++
		return api.Status{}, fmt.Errorf("cannot reach it: %w", control.ErrNotRunning)
	}
	s.keys("r")
	s.send(tickMsg{})
	s.shows("THE MASTER HAS ENDED", "4711", "gave up")
	for range 3 {
		s.later()
	}
	s.keys("y", "S", "y")
	if asked != 1 || len(s.master.orders) > 0 {
		t.Errorf("asked %d times, orders %v, of a master that has ended", asked, s.master.orders)
	}
	s.shows("THE MASTER HAS ENDED", "web")
	if s.keys("q"); !s.quit {
		t.Error("q does not quit")
	}
}

func TestTopQuits(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"?", "q"}, {"r", "ctrl+c"}, {"/", "ctrl+c"}} {
		s := newStage(t, shopStatus(), 80, 24)
		if s.keys(keys...); !s.quit {
			t.Errorf("%q does not quit", keys)
		}
	}
	s := newStage(t, shopStatus(), 80, 24)
	if s.keys("/", "q"); s.quit {
		t.Error("a q in a filter quits")
	}
}

func TestFeed(t *testing.T) {
	f := newFeed[int](10, 0)
	for i := range 105 {
		f.put(i)
	}
	f.end(errors.New("over"))
	b, ok := f.next(t.Context())
	if !ok || len(b.items) != 10 || b.items[9] != 104 || b.lost != 95 || !b.ended || b.err == nil {
		t.Errorf("%+v", b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := newFeed[int](10, time.Hour).next(ctx); ok {
		t.Error("something came of nothing")
	}
}

func allOf(st api.Status) []api.App { return st.Apps }
