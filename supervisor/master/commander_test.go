package master

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/orders"
)

// master is a Supervisor that runs, with workers that are this test program.
type master struct {
	api.Commander
	t         testing.TB
	s         *Supervisor
	behaviour string // file
	log       *lockedBuffer
	ended     chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// bounded bounds every wait of these tests.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func testApp(name, behaviour string, workers int) config.App {
	a := config.NewApp(name, os.Args[0])
	a.Listen, a.Workers = []string{"127.0.0.1:0"}, workers
	a.Env = map[string]string{"TEST_BEHAVIOUR": behaviour, "GOMAXPROCS": "1"}
	a.DrainDelay, a.KillAfter = 20*time.Millisecond, time.Second
	a.Backoff.Base = 20 * time.Millisecond
	return a
}

// startMaster runs apps and waits until they are ready.
func startMaster(t testing.TB, change func(*config.Config), opts ...Option) *master {
	t.Helper()
	m := &master{t: t, behaviour: filepath.Join(t.TempDir(), "behaviour"), log: &lockedBuffer{}, ended: make(chan error, 1)}
	c := &config.Config{Name: "test", Log: config.Log{Format: "json", Level: "debug"}, Apps: []config.App{testApp("web", m.behaviour, 2)}}
	if change != nil {
		change(c)
	}
	s, err := New(c, append([]Option{WithOutput(m.log, m.log)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	m.s, m.Commander = s, s.Commander()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { m.ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		m.wait()
		if t.Failed() {
			t.Logf("log:\n%s", m.log)
		}
	})
	select {
	case <-s.Ready():
	case err := <-m.ended:
		m.ended <- err
		t.Fatalf("ended: %v\n%s", err, m.log)
	case <-time.After(20 * time.Second):
		t.Fatalf("not ready\n%s", m.log)
	}
	return m
}

func (m *master) wait() error {
	select {
	case err := <-m.ended:
		m.ended <- err
		return err
	case <-time.After(20 * time.Second):
		m.t.Fatal("does not end")
		return nil
	}
}

func (m *master) behave(how string) {
	m.t.Helper()
	if err := os.WriteFile(m.behaviour, []byte(how), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *master) status() api.Status {
	m.t.Helper()
	st, err := m.Status(bounded(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

func (m *master) app(name string) api.App {
	m.t.Helper()
	for _, a := range m.status().Apps {
		if a.Name == name {
			return a
		}
	}
	m.t.Fatalf("no app %s", name)
	return api.App{}
}

// do carries out an order and returns its steps.
func (m *master) do(o api.Order) ([]api.Progress, error) {
	m.t.Helper()
	var steps []api.Progress
	err := m.Do(bounded(m.t), o, func(p api.Progress) { steps = append(steps, p) })
	return steps, err
}

func (m *master) must(o api.Order) []api.Progress {
	m.t.Helper()
	steps, err := m.do(o)
	if err != nil {
		m.t.Fatalf("%s: %v", o.Verb, err)
	}
	if last := steps[len(steps)-1]; !last.Final || !last.OK {
		m.t.Fatalf("%s ends with %+v", o.Verb, last)
	}
	return steps
}

func (m *master) refused(o api.Order, status int, text string) {
	m.t.Helper()
	_, err := m.do(o)
	var r *api.Refusal
	if !errors.As(err, &r) || r.Status != status || !strings.Contains(r.Error(), text) {
		m.t.Errorf("%+v: got %v, want %d with %q", o, err, status, text)
	}
}

// get asks the app's address on a connection of its own.
func (m *master) get(query string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := client.Get("http://" + strings.TrimPrefix(m.app("web").Listen[0], "tcp://") + "/" + query)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func slotOf(n int) *int { return &n }

func pids(a api.App) (all []int) {
	for _, w := range a.Workers {
		all = append(all, w.PID)
	}
	return all
}

func TestStatusTellsWhatRuns(t *testing.T) {
	m := startMaster(t, nil)
	if _, err := m.SetValue(bounded(t), "users", []byte("50")); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := m.get("?sleep=2ms"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.get("?code=500"); err != nil {
		t.Fatal(err)
	}
	st := m.status()
	a := st.Apps[0]
	if st.PID != os.Getpid() || st.Name != "test" || st.Version == "" || st.UptimeS <= 0 || st.Steering == "" {
		t.Errorf("%+v", st)
	}
	if a.State != api.AppRunning || a.Desired != 2 || a.Ready != 2 || a.Generation != 1 || a.Rollout != nil || len(a.Workers) != 2 {
		t.Errorf("%+v", a)
	}
	var requests, failures uint64
	for n, w := range a.Workers {
		if w.Slot != n || w.State != "ready" || w.PID == 0 || w.RSSBytes < 1<<20 || w.UptimeS <= 0 {
			t.Errorf("%+v", w)
		}
		requests, failures = requests+w.Requests, failures+w.Errors
	}
	if requests != 21 || failures != 1 {
		t.Errorf("%d requests and %d errors, want 21 and 1", requests, failures)
	}
	if w := a.Workers[0]; w.Requests > 3 && (w.P50MS < 1 || w.P99MS < w.P50MS) {
		t.Errorf("p50 %g ms, p99 %g ms", w.P50MS, w.P99MS)
	}
	if len(st.Cache.Values) != 1 || st.Cache.Values[0].Key != "users" || st.Cache.Values[0].Bytes != 2 {
		t.Errorf("%+v", st.Cache)
	}
	m.must(api.Order{Verb: api.VerbReload})
	if after := m.app("web"); sum(after) < 21 || after.Generation != 2 || after.RestartsTotal != 0 {
		t.Errorf("after a rollout: %+v", after)
	}
}

func sum(a api.App) (n uint64) {
	for _, w := range a.Workers {
		n += w.Requests
	}
	return n
}

func TestReloadTellsEachSlot(t *testing.T) {
	m := startMaster(t, nil)
	before := pids(m.app("web"))
	steps := m.must(api.Order{Verb: api.VerbReload, App: "web", Reason: "deploy"})
	ready := map[int]bool{}
	for _, p := range steps {
		if p.State == "ready" && p.Slot != nil {
			ready[*p.Slot] = true
		}
	}
	if len(ready) != 2 {
		t.Errorf("not each slot is told: %+v", steps)
	}
	if last := steps[len(steps)-1]; last.Done != 2 || last.Total != 2 {
		t.Errorf("ends with %+v", last)
	}
	for _, pid := range pids(m.app("web")) {
		if slices.Contains(before, pid) {
			t.Errorf("worker %d was not replaced", pid)
		}
	}
}

func TestReloadThatFailsKeepsTheOldAndSaysWhy(t *testing.T) {
	for how, words := range map[string]string{"fail": "cannot open the database", "hang": "waiting for the database"} {
		t.Run(how, func(t *testing.T) {
			m := startMaster(t, func(c *config.Config) { c.Apps[0].ReadyTimeout = 2 * time.Second })
			before := pids(m.app("web"))
			m.behave(how)
			steps, err := m.do(api.Order{Verb: api.VerbReload, App: "web"})
			if err == nil || !strings.Contains(err.Error(), "aborted") {
				t.Fatalf("got %v", err)
			}
			last := steps[len(steps)-1]
			if last.OK || !last.Final || !strings.Contains(last.Output, words) || last.Worker == 0 {
				t.Errorf("ends with %+v", last)
			}
			a := m.app("web")
			if !slices.Equal(pids(a), before) || a.Rollout == nil || a.Rollout.State != api.RolloutAborted || a.Rollout.Error == "" {
				t.Errorf("%+v, %+v", a, a.Rollout)
			}
			m.behave("")
			m.must(api.Order{Verb: api.VerbReload, App: "web"})
			if a := m.app("web"); a.Rollout != nil {
				t.Errorf("%+v", a.Rollout)
			}
		})
	}
}

// TestTwoReloads: the second waits for its own, or is refused, as it asks.
func TestTwoReloads(t *testing.T) {
	m := startMaster(t, nil)
	first, begun := make(chan error, 1), make(chan struct{})
	var once sync.Once
	go func() {
		first <- m.Do(context.Background(), api.Order{Verb: api.VerbReload}, func(api.Progress) { once.Do(func() { close(begun) }) })
	}()
	<-begun
	m.refused(api.Order{Verb: api.VerbReload, App: "web", IfRunning: api.IfRunningRefuse}, http.StatusConflict, "being reloaded")
	if st := m.status(); st.Apps[0].Rollout == nil || st.Apps[0].Rollout.State != api.RolloutRunning || st.Apps[0].Rollout.Total != 2 {
		t.Errorf("status while a rollout runs: %+v", st.Apps[0].Rollout)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := m.Do(context.Background(), api.Order{Verb: api.VerbReload, App: "web"}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if g := m.app("web").Generation; g != 3 {
		t.Errorf("generation %d: the three that waited share one rollout", g)
	}
}

func TestScaleWaitsForItsWorkers(t *testing.T) {
	m := startMaster(t, nil)
	m.must(api.Order{Verb: api.VerbScale, App: "web", N: 4})
	if a := m.app("web"); a.Ready != 4 || a.Desired != 4 {
		t.Errorf("%+v", a)
	}
	m.must(api.Order{Verb: api.VerbScale, App: "web", N: -3, By: true})
	if a := m.app("web"); a.Ready != 1 || len(a.Workers) != 1 {
		t.Errorf("%+v", a)
	}
	m.behave("fail")
	steps, err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 2})
	if last := steps[len(steps)-1]; err == nil || !strings.Contains(last.Output, "cannot open the database") {
		t.Errorf("got %v with %+v", err, last)
	}
}

func TestStopAndStart(t *testing.T) {
	m := startMaster(t, nil)
	address := strings.TrimPrefix(m.app("web").Listen[0], "tcp://")
	m.must(api.Order{Verb: api.VerbScale, App: "web", N: 3})
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
	a := m.app("web")
	if a.State != api.AppStopped || a.Ready != 0 {
		t.Errorf("%+v", a)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a stopped app still listens")
	}
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
	a = m.app("web")
	if a.State != api.AppRunning || a.Ready != 3 || a.Generation != 2 || a.Workers[0].ID < 4 {
		t.Errorf("%+v", a)
	}
	if _, err := m.get(""); err != nil {
		t.Error(err)
	}
}

// TestRestartKeepsTheAddress: who connects meanwhile waits.
func TestRestartKeepsTheAddress(t *testing.T) {
	m := startMaster(t, nil)
	before := m.app("web")
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := m.get(""); err != nil {
				ended <- err
				return
			}
		}
	}()
	m.must(api.Order{Verb: api.VerbRestart, App: "web"})
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("a request was lost: %v", err)
	}
	for _, e := range m.events("draining") {
		if e.Reason != "restart" {
			t.Errorf("event: %+v", e)
		}
	}
	after := m.app("web")
	if after.Listen[0] != before.Listen[0] || after.Ready != 2 || slices.Contains(pids(before), after.Workers[0].PID) {
		t.Errorf("%+v", after)
	}
	m.must(api.Order{Verb: api.VerbRestart, App: "web", Now: true})
	m.must(api.Order{Verb: api.VerbRestart, App: "web", Slot: slotOf(1)})
	last := m.app("web")
	if last.Workers[0].PID == last.Workers[1].PID || last.Ready != 2 || last.RestartsTotal != 0 {
		t.Errorf("%+v", last)
	}
	if sum(last) < sum(after) {
		t.Errorf("%d requests after %d: totals went back", sum(last), sum(after))
	}
}

func TestDrainOfASlot(t *testing.T) {
	m := startMaster(t, nil)
	m.must(api.Order{Verb: api.VerbDrain, App: "web", Slot: slotOf(1)})
	a := m.app("web")
	if len(a.Workers) != 2 || a.Workers[1].State != "drained" || a.Workers[1].PID != 0 || a.Desired != 2 || a.Ready != 1 {
		t.Errorf("%+v", a.Workers)
	}
	for range 10 {
		if _, err := m.get(""); err != nil {
			t.Error(err)
		}
	}
	m.must(api.Order{Verb: api.VerbStart, App: "web", Slot: slotOf(1)})
	if a := m.app("web"); a.Ready != 2 {
		t.Errorf("%+v", a)
	}
}

func TestSignalOfWorkers(t *testing.T) {
	m := startMaster(t, nil)
	for _, name := range []string{"SIGWINCH", "winch", "28"} {
		if steps := m.must(api.Order{Verb: api.VerbSignal, App: "web", Signal: name}); len(steps) != 3 {
			t.Errorf("%s: %+v", name, steps)
		}
	}
	m.refused(api.Order{Verb: api.VerbSignal, App: "web", Signal: "SIGHUPP"}, http.StatusUnprocessableEntity, "did you mean SIGHUP")
	mark := m.lastEvent()
	m.must(api.Order{Verb: api.VerbSignal, App: "web", Slot: slotOf(0), Signal: "KILL"})
	m.await(mark, func(e api.Event) bool { return e.Kind == "exited" && e.Signal == "SIGKILL" })
	m.await(mark, func(e api.Event) bool { return e.Kind == "ready" })
	a := m.app("web")
	if a.CrashesTotal != 1 || a.RestartsTotal != 1 || a.Workers[0].Restarts != 1 || a.Workers[0].LastExit != "SIGKILL" || a.Workers[1].Restarts != 0 {
		t.Errorf("%+v", a)
	}
}

func (m *master) lastEvent() uint64 { return m.s.book.Newest() }

// await waits for an event.
func (m *master) await(after uint64, ok func(api.Event) bool) (found api.Event) {
	m.t.Helper()
	enough := errors.New("enough")
	err := m.Events(bounded(m.t), after, true, func(e api.Event) error {
		if ok(e) {
			found = e
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		m.t.Fatalf("no such event: %v", err)
	}
	return found
}

func TestStartThatGivesUp(t *testing.T) {
	m := startMaster(t, nil)
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
	m.behave("fail")
	steps, err := m.do(api.Order{Verb: api.VerbStart, App: "web"})
	if last := steps[len(steps)-1]; err == nil || !strings.Contains(last.Output, "cannot open the database") {
		t.Errorf("got %v with %+v", err, last)
	}
	if a := m.app("web"); a.State != api.AppGaveUp && a.State != api.AppStopped || a.Error == "" {
		t.Errorf("%+v", a)
	}
	m.behave("")
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
	if a := m.app("web"); a.State != api.AppRunning || a.Error != "" {
		t.Errorf("%+v", a)
	}
}

func TestValues(t *testing.T) {
	m := startMaster(t, nil)
	ctx := bounded(t)
	first, err := m.SetValue(ctx, "users", []byte("50"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.SetValue(ctx, "users", []byte("50")); err != nil || again != first {
		t.Errorf("epoch %d, then %d: %v", first, again, err)
	}
	data, told, err := m.Value(ctx, "users")
	if err != nil || string(data) != "50" || told.Epoch != first || told.Bytes != 2 {
		t.Errorf("%q, %+v, %v", data, told, err)
	}
	var r *api.Refusal
	if _, _, err := m.Value(ctx, "user"); !errors.As(err, &r) || r.Status != 404 || r.Suggestion != "users" {
		t.Errorf("got %v", err)
	}
	if err := m.DeleteValue(ctx, "users"); err != nil {
		t.Error(err)
	}
	if err := m.DeleteValue(ctx, "users"); !errors.As(err, &r) || r.Status != 404 {
		t.Errorf("got %v", err)
	}
	if _, err := m.SetValue(ctx, "empty", nil); err != nil {
		t.Error(err)
	}
	if data, _, err := m.Value(ctx, "empty"); err != nil || len(data) != 0 {
		t.Errorf("%q, %v", data, err)
	}
}

func TestCallToAWorker(t *testing.T) {
	m := startMaster(t, nil)
	id := m.app("web").Workers[0].ID
	out, err := m.Call(bounded(t), "web", id, "echo", []byte("hello"))
	if err != nil || string(out) != "hello" {
		t.Errorf("%q, %v", out, err)
	}
	var r *api.Refusal
	if _, err := m.Call(bounded(t), "web", id, "none", nil); !errors.As(err, &r) || r.Status != http.StatusNotImplemented {
		t.Errorf("got %v", err)
	}
	for app, worker := range map[string]uint64{"web": 999, "wbe": id} {
		if _, err := m.Call(bounded(t), app, worker, "echo", nil); !errors.As(err, &r) || r.Status != http.StatusNotFound {
			t.Errorf("got %v", err)
		}
	}
}

// TestShutdown: the order is answered, and after the end everything else says so.
func TestShutdown(t *testing.T) {
	m := startMaster(t, nil)
	following := make(chan error, 1)
	go func() {
		following <- m.Events(context.Background(), 0, true, func(api.Event) error { return nil })
	}()
	if err := m.Do(bounded(t), api.Order{Verb: api.VerbShutdown}, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	if err := <-following; err != nil {
		t.Errorf("who follows gets %v", err)
	}
	ctx := bounded(t)
	_, err1 := m.Status(ctx)
	err2 := m.Do(ctx, api.Order{Verb: api.VerbReload}, nil)
	_, err3 := m.SetValue(ctx, "a", nil)
	_, _, err4 := m.Value(ctx, "a")
	_, err5 := m.Config(ctx)
	_, err6 := m.Apply(ctx, api.ApplyRequest{})
	_, err7 := m.Call(ctx, "web", 1, "echo", nil)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%d: got %v", i+1, err)
		}
	}
}

// TestStopDuringARestart: the stop wins, and says so to who restarts.
func TestStopDuringARestart(t *testing.T) {
	m := startMaster(t, nil)
	busy := make(chan struct{})
	go func() { defer close(busy); m.get("?sleep=1s") }()
	for deadline := time.Now().Add(10 * time.Second); m.inFlight() == 0 && time.Now().Before(deadline); {
	}
	restarted := make(chan error, 1)
	mark := m.lastEvent()
	go func() {
		restarted <- m.Do(context.Background(), api.Order{Verb: api.VerbRestart, App: "web"}, nil)
	}()
	m.await(mark, func(e api.Event) bool { return e.Kind == "draining" })
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
	if err := <-restarted; !errors.Is(err, orders.ErrStopped) {
		t.Errorf("got %v", err)
	}
	<-busy
	if a := m.app("web"); a.State != api.AppStopped {
		t.Errorf("%+v", a)
	}
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
}

// TestConfigDuringARestart: what a config says that is applied while a restart waits for the workers that drain is what the next
// run has.
func TestConfigDuringARestart(t *testing.T) {
	m := startMaster(t, nil)
	busy := make(chan struct{})
	go func() { defer close(busy); m.get("?sleep=1s") }()
	eventually.True(t, "a request in flight", func() bool { return m.inFlight() > 0 })
	restarted := make(chan error, 1)
	mark := m.lastEvent()
	go func() {
		restarted <- m.Do(context.Background(), api.Order{Verb: api.VerbRestart, App: "web"}, nil)
	}()
	m.await(mark, func(e api.Event) bool { return e.Kind == "draining" })
	next := *m.s.config
	next.Apps = slices.Clone(next.Apps)
	next.Apps[0].Workers = 3
	next.Apps[0].Env = maps.Clone(next.Apps[0].Env)
	next.Apps[0].Env["LATER"] = "1"
	if err := m.s.Apply(&next); err != nil {
		t.Fatal(err)
	}
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	<-busy
	if a := m.app("web"); len(a.Workers) != 3 || a.Ready != 3 {
		t.Errorf("%d of %d workers are ready, want 3", a.Ready, len(a.Workers))
	}
}

func (m *master) inFlight() (n int) {
	for _, w := range m.app("web").Workers {
		n += w.InFlight
	}
	return n
}

// TestOrderGoesOnWithoutItsCaller: who goes away ends his wait and nothing else.
func TestOrderGoesOnWithoutItsCaller(t *testing.T) {
	m := startMaster(t, nil)
	mark := m.lastEvent()
	ctx, cancel := context.WithCancel(context.Background())
	err := m.Do(ctx, api.Order{Verb: api.VerbReload, App: "web"}, func(api.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	m.await(mark, func(e api.Event) bool { return e.Kind == "rollout done" })
}

func TestApplyTellsAndApplies(t *testing.T) {
	var next *config.Config
	var mu sync.Mutex
	m := startMaster(t, nil, WithReload(func() (*config.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if next == nil {
			return nil, errors.New("no such file")
		}
		return next, nil
	}))
	var r *api.Refusal
	if _, err := m.Apply(bounded(t), api.ApplyRequest{}); !errors.As(err, &r) || r.Status != 422 {
		t.Errorf("got %v", err)
	}
	c := *m.s.config
	c.Apps = slices.Clone(c.Apps)
	c.Apps[0].Workers = 3
	mu.Lock()
	next = &c
	mu.Unlock()
	mark := m.lastEvent()
	if result, err := m.Apply(bounded(t), api.ApplyRequest{Dry: true}); err != nil || result.Applied {
		t.Errorf("%+v, %v", result, err)
	}
	if a := m.app("web"); a.Desired != 2 {
		t.Errorf("dry, but %+v", a)
	}
	if result, err := m.Apply(bounded(t), api.ApplyRequest{}); err != nil || !result.Applied {
		t.Errorf("%+v, %v", result, err)
	}
	if a := m.app("web"); a.Desired != 3 {
		t.Errorf("%+v", a)
	}
	m.await(mark, func(e api.Event) bool { return e.Kind == api.EventConfigApplied })
	// A rollout that it brings is waited for.
	e := c
	e.Apps = slices.Clone(c.Apps)
	e.Apps[0].Env = map[string]string{"TEST_BEHAVIOUR": m.behaviour, "NEW": "1"}
	mu.Lock()
	next = &e
	mu.Unlock()
	if result, err := m.Apply(bounded(t), api.ApplyRequest{}); err != nil || !result.Applied || len(result.Changes) == 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if a := m.app("web"); a.Generation != 2 || a.Rollout != nil {
		t.Errorf("%+v", a)
	}
	// What is stopped stays so, whatever the config says of it.
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
	d := c
	d.Apps = slices.Clone(c.Apps)
	d.Apps[0].Workers = 1
	mu.Lock()
	next = &d
	mu.Unlock()
	if _, err := m.Apply(bounded(t), api.ApplyRequest{}); err != nil {
		t.Error(err)
	}
	if a := m.app("web"); a.State != api.AppStopped {
		t.Errorf("%+v", a)
	}
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
	if a := m.app("web"); a.Ready != 1 {
		t.Errorf("%+v", a)
	}
}

func TestConfigHidesSecrets(t *testing.T) {
	m := startMaster(t, func(c *config.Config) {
		c.Apps[0].Env["DB_PASSWORD"] = "hunter2"
		c.Apps[0].Env["DATABASE_URL"] = "postgres://me:hunter3@db/x"
		c.Apps[0].Env["KEYBOARD"] = "qwertz"
	})
	text, err := m.Config(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for want, there := range map[string]bool{"hunter2": false, "hunter3": false, "qwertz": true, "postgres://me:***@db/x": true, "DB_PASSWORD": true} {
		if strings.Contains(string(text), want) != there {
			t.Errorf("%q: %v expected:\n%s", want, there, text)
		}
	}
}

func TestSecrets(t *testing.T) {
	for name, want := range map[string]bool{
		"PASSWORD": true, "DB_PASSWORD": true, "PGPASSWORD": true, "API_KEY": true, "aws_secret_access_key": true, "GITHUB_TOKEN": true,
		"KEYBOARD": false, "MONKEY": false, "PATH": false, "AUTHOR": false, "PORT": false, "PASSENGERS": false,
	} {
		if got := config.IsSecret(name, "x"); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestStatusOf64Workers: one round trip over the socket tells of all of them. How long it takes is a figure of make bench.
func TestStatusOf64Workers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 64 processes")
	}
	path := filepath.Join(t.TempDir(), "test.sock")
	startMaster(t, func(c *config.Config) { c.Apps[0].Workers = 64 }, WithControl(path))
	st, err := control.NewClient(path).Status(bounded(t))
	if err != nil || st.Apps[0].Ready != 64 {
		t.Fatalf("%+v, %v", st, err)
	}
	distinct := map[int]bool{}
	for _, w := range st.Apps[0].Workers {
		distinct[w.PID] = true
	}
	if len(distinct) != 64 {
		t.Errorf("%d processes, want 64", len(distinct))
	}
}

// BenchmarkStatusOf64Workers is a round trip over the socket.
func BenchmarkStatusOf64Workers(b *testing.B) {
	path := filepath.Join(b.TempDir(), "test.sock")
	startMaster(b, func(c *config.Config) { c.Apps[0].Workers = 64 }, WithControl(path))
	c := control.NewClient(path)
	ctx := bounded(b)
	for b.Loop() {
		if _, err := c.Status(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// TestControlSocket: a master, its socket and the client of tine's own commands.
func TestControlSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "test.sock")
	m := startMaster(t, nil, WithControl(path), WithVersion("v1.2.3"))
	c := control.NewClient(path)
	ctx := bounded(t)
	if st, err := c.Status(ctx); err != nil || st.Version != "v1.2.3" || st.Apps[0].Ready != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	var steps []api.Progress
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "web"}, func(p api.Progress) { steps = append(steps, p) }); err != nil {
		t.Error(err)
	}
	if n := len(steps); n < 5 || !steps[n-1].Final || !steps[n-1].OK {
		t.Errorf("%+v", steps)
	}
	var r *api.Refusal
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "wbe"}, nil); !errors.As(err, &r) || r.Suggestion != "web" {
		t.Errorf("got %v", err)
	}
	m.behave("fail")
	err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "web"}, func(p api.Progress) { steps = append(steps, p) })
	if last := steps[len(steps)-1]; err == nil || !strings.Contains(last.Output, "cannot open the database") {
		t.Errorf("got %v with %+v", err, last)
	}
	// The client that asks for the end gets its answer.
	if err := c.Do(ctx, api.Order{Verb: api.VerbShutdown}, nil); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	m.wait()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestControlThatCannotBeMade: the apps run on.
func TestControlThatCannotBeMade(t *testing.T) {
	m := startMaster(t, nil, WithControl("/proc/none/test.sock"))
	if !strings.Contains(m.log.String(), "no control socket") {
		t.Errorf("nothing is said:\n%s", m.log)
	}
}

func TestOrdersToAll(t *testing.T) {
	m := startMaster(t, func(c *config.Config) {
		c.Apps = append(c.Apps, testApp("api", "", 1), testApp("job", "", 1))
		c.Apps[1].Namespace, c.Apps[2].Namespace = "back", "back"
	})
	m.must(api.Order{Verb: api.VerbReload, App: "back"})
	m.must(api.Order{Verb: api.VerbStop, App: "job"})
	m.refused(api.Order{Verb: api.VerbStop, App: "wev"}, http.StatusNotFound, "did you mean web")
	m.must(api.Order{Verb: api.VerbReload})
	st := m.status()
	if st.Apps[0].Generation != 2 || st.Apps[1].Generation != 3 || st.Apps[2].Generation != 2 || st.Apps[2].State != api.AppStopped {
		t.Errorf("%+v", st.Apps)
	}
	m.must(api.Order{Verb: api.VerbStart})
	if st := m.status(); st.Apps[0].Ready != 2 || st.Apps[2].Ready != 1 {
		t.Errorf("%+v", st.Apps)
	}
}
