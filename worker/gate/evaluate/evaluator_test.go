package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an application server that answers with its statistics.
type server struct {
	*httptest.Server
	asked  atomic.Int64
	answer atomic.Value  // string
	hold   chan struct{} // nil: it answers at once; else when this is closed
}

func newServer(t *testing.T, answer string, hold chan struct{}) *server {
	t.Helper()
	s := &server{hold: hold}
	s.answer.Store(answer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.hold != nil {
			select {
			case <-s.hold:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, s.answer.Load().(string))
	}))
	t.Cleanup(s.Close)
	return s
}

func addresses(all ...*server) (t members.Table) {
	for i, s := range all {
		t.Members = append(t.Members, members.Member{ID: fmt.Sprint("as", i), Address: s.Listener.Addr().String(), Weight: 1, State: members.Ready})
	}
	return t
}

// evaluator runs until the end of the test, for a picker by score.
func evaluator(t *testing.T, o Options, score gate.Score, servers ...*server) (*Evaluator, *gate.Picker) {
	t.Helper()
	p, err := gate.New(gate.Options{Way: gate.ByScore, Score: score})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHTTP(members.Question{URL: "http://{address}/stats", Stats: map[members.Stat]string{members.QueueWait: "wait", members.MemoryFree: "free"}})
	if err != nil {
		t.Fatal(err)
	}
	o.Ask = h.Ask
	if o.Publish == nil {
		o.Publish = func(t members.Table) { p.Update(t, ipc.Monotonic()) }
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait(); h.Close() })
	e.Table(addresses(servers...))
	return e, p
}

func await(t *testing.T, e *Evaluator) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Patience())
	defer cancel()
	return e.Await(ctx, false)
}

var byWait = gate.Score{Raw: true, Multipliers: map[members.Stat]float64{members.QueueWait: 1}}

// TestSingleFlight: requests that come together have each server asked once, and are picked for by what it answered.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	a, b := newServer(t, `{"wait":5}`, hold), newServer(t, `{"wait":1}`, nil)
	e, p := evaluator(t, Options{RequestTimeout: time.Minute}, byWait, a, b)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := await(t, e); err != nil {
				t.Error(err)
			}
		})
	}
	eventually.True(t, "both are asked", func() bool { return a.asked.Load() == 1 && b.asked.Load() == 1 })
	close(hold)
	wg.Wait()
	if a.asked.Load() > 2 || b.asked.Load() > 2 { // a request that comes after the end has them asked again
		t.Errorf("asked %d and %d times", a.asked.Load(), b.asked.Load())
	}
	k, err := p.Pick(gate.Request{Now: ipc.Monotonic()})
	if err != nil || k.Member().ID != "as1" {
		t.Errorf("%v, %v", k, err)
	}
}

// TestPrefers: a request that prefers a member waits for the first result, and for no other.
func TestPrefers(t *testing.T) {
	t.Parallel()
	a := newServer(t, `{"wait":5}`, nil)
	e, p := evaluator(t, Options{}, byWait, a)
	for range 3 {
		if err := e.Await(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Pick(gate.Request{Now: ipc.Monotonic()}); err != nil || a.asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, a.asked.Load())
	}
}

// TestNoHerd: 100 requests by one evaluation are spread as by least, because own picks count.
func TestNoHerd(t *testing.T) {
	t.Parallel()
	var all []*server
	for range 4 {
		all = append(all, newServer(t, `{"wait":2}`, nil))
	}
	e, p := evaluator(t, Options{ValidTimeout: time.Hour}, byWait, all...)
	got := map[string]int{}
	for range 100 {
		if err := await(t, e); err != nil {
			t.Fatal(err)
		}
		k, err := p.Pick(gate.Request{Now: ipc.Monotonic()})
		if err != nil {
			t.Fatal(err)
		}
		got[k.Member().ID]++
	}
	for _, id := range []string{"as0", "as1", "as2", "as3"} {
		if got[id] != 25 {
			t.Errorf("%v", got)
			break
		}
	}
	if n := all[0].asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestDeadServer: a server that takes connections and does not answer costs one request timeout in all.
func TestDeadServer(t *testing.T) {
	t.Parallel()
	dead := newServer(t, "", make(chan struct{}))
	good := newServer(t, `{"wait":2}`, nil)
	e, p := evaluator(t, Options{RequestTimeout: 200 * time.Millisecond}, byWait, dead, good)
	began := time.Now()
	for range 50 {
		if err := await(t, e); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > 25*200*time.Millisecond { // and not 50 times
		t.Errorf("50 requests take %s", took)
	}
	if all := p.Explain(ipc.Monotonic()); all[0].Picks || all[0].Text != "it is left out of the evaluation: no answer in 200ms" || !all[1].Picks {
		t.Errorf("%+v", all)
	}
}

// TestMissingStatistic: a server that does not send a statistic that counts is unknown; where its multiplier is 0 it is not.
func TestMissingStatistic(t *testing.T) {
	t.Parallel()
	for zero, want := range map[bool]string{false: "unknown: it gets one request at a time", true: "ready"} {
		a, b := newServer(t, `{"wait":2}`, nil), newServer(t, `{"wait":2,"free":"4096"}`, nil)
		score := gate.Score{Multipliers: map[members.Stat]float64{members.QueueWait: 1, members.MemoryFree: 1}}
		if zero {
			score.Multipliers[members.MemoryFree] = 0
		}
		e, p := evaluator(t, Options{}, score, a, b)
		if err := await(t, e); err != nil {
			t.Fatal(err)
		}
		if all := p.Explain(ipc.Monotonic()); !strings.HasPrefix(all[0].Text, want) || !strings.HasPrefix(all[1].Text, "ready") {
			t.Errorf("%+v", all)
		}
	}
}

// TestNone: what is wrong with each server is said, of every kind of wrong answer.
func TestNone(t *testing.T) {
	t.Parallel()
	broken, text := newServer(t, `{"wait":`, nil), newServer(t, `{"wait":"much"}`, nil)
	long := newServer(t, strings.Repeat(" ", members.MaxAnswer)+`{}`, nil)
	e, _ := evaluator(t, Options{}, byWait, broken, text, long)
	err := await(t, e)
	var none *NoneError
	if !errors.As(err, &none) || len(none.Why) != 3 || !strings.Contains(none.Why[0], "is not JSON") || !strings.Contains(none.Why[1], `"much" at wait, which is not a number`) ||
		!strings.Contains(none.Why[2], "more than 65536 bytes") {
		t.Errorf("%v", err)
	}
	broken.answer.Store(`{"wait":1}`)
	eventually.NoError(t, "a server that answers again takes part again", func() error { return await(t, e) })
}

// TestBeat: continuous passes come at the beat, also where a server is slower than that; requests wait for nothing. On a busy machine
// beats are skipped; TestContinuous holds them to the millisecond.
func TestBeat(t *testing.T) {
	t.Parallel()
	slow, good := newServer(t, "", make(chan struct{})), newServer(t, `{"wait":1}`, nil)
	times := make(chan time.Time, 1000)
	e, _ := evaluator(t, Options{Mode: Continuous, ValidTimeout: 50 * time.Millisecond, RequestTimeout: 10 * time.Second, Publish: func(members.Table) { times <- time.Now() }}, byWait, slow, good)
	if err := await(t, e); err != nil {
		t.Fatal(err)
	}
	<-times // the table, before anybody was asked
	first := <-times
	var last time.Time
	const passes = 40
	for range passes {
		last = eventually.Receive(t, "the result of a pass", times)
	}
	if each := last.Sub(first) / passes; each < 45*time.Millisecond || each > 200*time.Millisecond {
		t.Errorf("a pass each %s", each)
	}
	if n := slow.asked.Load(); n != 1 {
		t.Errorf("a server that has not answered is asked %d times", n)
	}
	if err := await(t, e); err != nil {
		t.Error(err)
	}
}

// TestSocket: a member at a Unix socket is asked there, and a redirect is not followed.
func TestSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/v1/load", http.StatusFound)
			return
		}
		fmt.Fprintf(w, `{"stats":{"in_flight":3}}`)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
	for url, want := range map[string]string{"http://{address}/v1/load": "", "http://{address}/away": "answered 302 Found"} {
		h, err := NewHTTP(members.Question{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.Ask(t.Context(), &members.Member{ID: "a", Address: path})
		if want == "" && (err != nil || r.Stats[members.InFlight] != 3) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", url, r, err)
		}
		h.Close()
	}
}

// TestEnd: a request that waits when the worker ends is let go.
func TestEnd(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Ask: func(ctx context.Context, _ *members.Member) (members.Report, error) {
		<-ctx.Done()
		return members.Report{}, ctx.Err()
	}, Publish: func(members.Table) {}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx) })
	e.Table(members.Table{Members: []members.Member{{ID: "a", State: members.Ready, Weight: 1}}})
	waited := make(chan error, 1)
	wg.Go(func() { waited <- e.Await(context.Background(), false) })
	cancel()
	if err := eventually.Receive(t, "the end of the wait", waited); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
	wg.Wait()
	for _, o := range []Options{{}, {Mode: "often"}, {RequestTimeout: 1}, {ValidTimeout: MaxTime + 1}} {
		if o.Mode != "" || o.RequestTimeout != 0 || o.ValidTimeout != 0 {
			o.Ask, o.Publish = func(context.Context, *members.Member) (members.Report, error) { return members.Report{}, nil }, func(members.Table) {}
		}
		if _, err := New(o); err == nil {
			t.Errorf("%+v is right", o)
		}
	}
}
