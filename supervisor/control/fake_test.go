package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
	"go.uber.org/goleak"
)

// bound is for each wait of a test.
var bound = eventually.Patience()

func TestMain(m *testing.M) {
	if os.Getenv(strangerPath) != "" {
		stranger()
		return
	}
	goleak.VerifyTestMain(m)
}

// fake is a master whose answers a test chooses.
type fake struct {
	mu      sync.Mutex
	orders  []api.Order
	applied []api.ApplyRequest
	drains  []api.MemberDrain
	queries []api.LogQuery
	values  map[string][]byte
	epoch   uint64

	do   func(context.Context, api.Order, func(api.Progress)) error
	logs func(context.Context, api.LogQuery, func(api.LogLine) error) error

	events  []api.Event
	more    chan api.Event // what comes to one follower
	status  func(context.Context) (api.Status, error)
	applyTo api.ApplyResult
}

func (f *fake) Status(ctx context.Context) (api.Status, error) {
	if f.status != nil {
		return f.status(ctx)
	}
	slot := api.Worker{Slot: 0, ID: 3, PID: 4711, State: "ready", Generation: 1, UptimeS: 1.5, RSSBytes: 1 << 20, P99MS: 2.5}
	return api.Status{Version: "v1", PID: os.Getpid(), Name: "web", Apps: []api.App{
		{Name: "web", State: api.AppRunning, Desired: 1, Ready: 1, Steering: "ebpf", Policy: "least", Workers: []api.Worker{slot}, Rollout: &api.Rollout{ID: 2, State: api.RolloutRunning}},
		{Name: "api", State: api.AppStopped},
	}, Cache: api.CacheStatus{Epoch: 1, Values: []api.CacheValue{{Key: "price", Epoch: 1, Bytes: 2, AgeS: 0.5, Source: "set"}}}}, nil
}

func (f *fake) Do(ctx context.Context, o api.Order, progress func(api.Progress)) error {
	f.mu.Lock()
	f.orders = append(f.orders, o)
	f.mu.Unlock()
	if f.do != nil {
		return f.do(ctx, o, progress)
	}
	progress(api.Progress{Time: time.Now(), App: o.App, State: "starting", Done: 0, Total: 2})
	progress(api.Progress{Time: time.Now(), App: o.App, State: "ready", Done: 1, Total: 2})
	return nil
}

func (f *fake) lastOrder() api.Order {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.orders) == 0 {
		return api.Order{}
	}
	return f.orders[len(f.orders)-1]
}

func (f *fake) Events(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error {
	for _, e := range f.events {
		if e.ID > after {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	for follow {
		select {
		case e, ok := <-f.more:
			if !ok {
				return nil
			}
			if err := yield(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *fake) Logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	f.mu.Lock()
	f.queries = append(f.queries, q)
	f.mu.Unlock()
	if f.logs != nil {
		return f.logs(ctx, q, yield)
	}
	slot := 0
	if err := yield(api.LogLine{ID: 1, Time: time.Now(), App: "web", Slot: &slot, Stream: api.StreamStdout, Text: "hello <&>"}); err != nil {
		return err
	}
	if q.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fake) Value(_ context.Context, key string) ([]byte, api.CacheValue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.values[key]
	if !ok {
		return nil, api.CacheValue{}, api.Unknown("cached value", key, []string{"price"})
	}
	return data, api.CacheValue{Key: key, Epoch: f.epoch, Bytes: len(data), AgeS: 0.25, Source: "set"}, nil
}

func (f *fake) SetValue(_ context.Context, key string, data []byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values == nil {
		f.values = map[string][]byte{}
	}
	f.values[key] = data
	f.epoch++
	return f.epoch, nil
}

func (f *fake) DrainMember(_ context.Context, d api.MemberDrain) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.Gateway == "gat" {
		return api.Unknown("gateway", d.Gateway, []string{"gate"})
	}
	f.drains = append(f.drains, d)
	return nil
}

func (f *fake) DeleteValue(_ context.Context, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.values[key]; !ok {
		return api.Unknown("cached value", key, []string{"price"})
	}
	delete(f.values, key)
	return nil
}

func (f *fake) Config(context.Context) ([]byte, error) { return []byte("apps: {}\n"), nil }

func (f *fake) Apply(_ context.Context, r api.ApplyRequest) (api.ApplyResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, r)
	f.applyTo.Applied = !r.Dry
	return f.applyTo, nil
}

func (f *fake) Decisions(_ context.Context, q api.DecisionQuery) (api.Decisions, error) {
	if q.App == "gone" {
		return api.Decisions{}, api.Unknown("app", q.App, nil)
	}
	d := decisions.Decision{ID: q.ID, Candidates: []decisions.Candidate{}, Tries: []decisions.Try{}}
	return api.Decisions{Kept: q.Last, Decisions: []api.GateDecision{{App: "gate", Slot: 1, Worker: 7, Request: d}}}, nil
}

func (f *fake) Gateways(_ context.Context, app string) (api.Gateways, error) {
	if app == "gone" {
		return api.Gateways{}, api.Unknown("app", app, nil)
	}
	t := tallies.Sum([]tallies.Tally{{
		Version: 1, Listed: 2, Ready: 1, Pools: []tallies.Pool{{Way: "least", Queue: &tallies.Queue{State: "calm"}}}, Members: []tallies.Member{{ID: "a"}},
		Rest: &tallies.Rest{Members: 1},
	}})
	return api.Gateways{Gateways: []api.Gateway{{App: "gate", Workers: 1, Tally: t}}}, nil
}

func (f *fake) Call(context.Context, string, uint64, string, []byte) ([]byte, error) {
	return nil, api.Refuse(http.StatusNotImplemented, "no calls here")
}

// folder makes one that is short: the path of a socket may have about 100 bytes.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve runs a server until the test ends.
func serve(t testing.TB, c api.Commander, change ...func(*Options)) (*Server, *Client) {
	t.Helper()
	o := Options{Path: filepath.Join(folder(t), "s", "web.sock"), Version: "v1", Doctor: func() any { return map[string]int{"cpus": 2} }, Logger: zerolog.New(zerolog.NewTestWriter(t))}
	for _, f := range change {
		f(&o)
	}
	s := New(c, o)
	return s, start(t, s)
}

func start(t testing.TB, s *Server) *Client {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	client := NewClient(s.Path())
	t.Cleanup(func() {
		client.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := within(t, served); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return client
}

func within[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	return eventually.Receive(t, "a value comes", c)
}

func boundedContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	return ctx
}

func ids(from, to int) []api.Event {
	var all []api.Event
	for i := from; i <= to; i++ {
		all = append(all, api.Event{ID: uint64(i), Time: time.Now(), Level: "info", Kind: "ready", Message: "event " + strconv.Itoa(i)})
	}
	return all
}

// rawConn connects without reading anything afterwards.
func rawConn(t testing.TB, path, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(bound))
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}
