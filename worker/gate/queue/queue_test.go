package queue

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// places are what requests compete for.
type places struct {
	free atomic.Int64
	most atomic.Int64 // that were taken at once
	all  int64
}

func placesOf(n int64) *places {
	p := &places{all: n}
	p.free.Store(n)
	return p
}

func (p *places) take() Answer {
	for {
		n := p.free.Load()
		if n == 0 {
			return Full
		}
		if p.free.CompareAndSwap(n, n-1) {
			for taken, most := p.all-n+1, p.most.Load(); taken > most; most = p.most.Load() {
				p.most.CompareAndSwap(most, taken)
			}
			return Placed
		}
	}
}

func (p *places) give(q *Queue, took time.Duration) {
	p.free.Add(1)
	q.Freed(ipc.Monotonic() - int64(took))
}

func queueOf(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := New(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// TestEachPlaceOnce: requests of many goroutines come, wait, are served and go. Each is placed or gone, no place is taken twice or lost.
func TestEachPlaceOnce(t *testing.T) {
	t.Parallel()
	q, p := queueOf(t, Options{Max: 1 << 20, Target: time.Second, Interval: 10 * time.Second}), placesOf(4)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var served, left atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := range 500 {
				if q.Busy() || p.take() == Full {
					turn := q.Join(Request{Place: p.take, Retry: n%7 == 0, Priority: n % 10})
					if i%4 == 0 && n%3 == 0 && turn.Leave() {
						left.Add(1)
						continue
					}
					select {
					case <-turn.Done():
					case <-ctx.Done():
						return
					}
					if turn.Err() != nil {
						t.Error(turn.Err())
						return
					}
				}
				served.Add(1)
				p.give(q, time.Microsecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	eventually.Receive(t, "the end of all requests", done)
	if n := served.Load() + left.Load(); n != 64*500 || p.free.Load() != 4 || p.most.Load() > 4 {
		t.Errorf("%d requests ended; %d places are free, and %d were taken at once", n, p.free.Load(), p.most.Load())
	}
	if s := q.Stats(); s.Waiting != 0 || s.Left != uint64(left.Load()) || s.Waits.Count() != s.Admitted || s.State != "calm" || q.Busy() {
		t.Errorf("%+v", s)
	}
}

// TestAllGo: ten thousand that wait go at once. Nothing of them is left, and the place is for the next one.
func TestAllGo(t *testing.T) {
	t.Parallel()
	q, p := queueOf(t, Options{Max: 10_000, Timeout: time.Hour}), placesOf(0)
	ctx, cancel := context.WithCancel(t.Context())
	var joined, ended sync.WaitGroup
	for range 10_000 {
		joined.Add(1)
		ended.Go(func() {
			turn := q.Join(Request{Place: p.take, Bytes: 100})
			joined.Done()
			<-ctx.Done()
			if !turn.Leave() {
				t.Error("it could not leave")
			}
		})
	}
	joined.Wait()
	if s := q.Stats(); s.Waiting != 10_000 || s.Bytes != 1e6 {
		t.Errorf("%d wait, with %d bytes", s.Waiting, s.Bytes)
	}
	if turn := q.Join(Request{Place: p.take}); turn.Err() == nil || !strings.HasPrefix(turn.Err().Error(), "the queue is full: 10000 waiting, 1000000 bytes") {
		t.Errorf("one more: %v", turn.Err())
	}
	cancel()
	ended.Wait()
	if s := q.Stats(); s.Waiting != 0 || s.Bytes != 0 || s.Left != 10_000 || q.Busy() {
		t.Errorf("%d wait, with %d bytes", s.Waiting, s.Bytes)
	}
	turn := q.Join(Request{Place: p.take})
	p.give(q, 0)
	<-turn.Done()
	if turn.Err() != nil {
		t.Error(turn.Err())
	}
}

// TestSheds: the ends of a wait, each with its words.
func TestSheds(t *testing.T) {
	t.Parallel()
	q, p := queueOf(t, Options{Timeout: 20 * time.Millisecond}), placesOf(0)
	interrupted := make(chan struct{})
	for name, c := range map[string]struct {
		r      Request
		reason Reason
		text   string
	}{
		"timeout":  {Request{Place: p.take, Interrupt: func() { close(interrupted) }}, TooLong, "waited "},
		"deadline": {Request{Place: p.take, Deadline: time.Now().Add(-time.Second)}, DeadlinePassed, "the deadline passed, after a wait of 0 ms"},
		"nobody":   {Request{Place: func() Answer { return Hopeless }}, NoMember, "no server is known"},
		"bytes":    {Request{Place: p.take, Bytes: 1 << 40}, QueueFull, "the queue is full: 0 waiting, 0 bytes"},
	} {
		turn := q.Join(c.r)
		eventually.Receive(t, name, turn.Done())
		var shed *Shed
		if !errors.As(turn.Err(), &shed) || shed.Reason != c.reason || !strings.HasPrefix(shed.Error(), c.text) {
			t.Errorf("%s: %v", name, turn.Err())
		}
		if turn.Leave() {
			t.Errorf("%s: it has left after its end", name)
		}
	}
	eventually.Receive(t, "the interrupt", interrupted)
	if s := q.Stats(); s.Shed != [reasons]uint64{1, 1, 1, 1} {
		t.Errorf("%v", s.Shed)
	}
}

// TestElsewhere: places that other processes free are told of only while requests wait.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	p, begun, ended := placesOf(0), make(chan func(), 1), make(chan struct{}, 1)
	q, err := New(Options{}, func(ctx context.Context, freed func()) {
		begun <- freed
		<-ctx.Done()
		ended <- struct{}{}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		turn := q.Join(Request{Place: p.take})
		freed := eventually.Receive(t, "the beginning", begun)
		p.free.Add(1)
		freed()
		eventually.Receive(t, "the place", turn.Done())
		eventually.Receive(t, "the end", ended)
	}
	q.Join(Request{Place: p.take})
	eventually.Receive(t, "the beginning", begun)
	q.Close()
	eventually.Receive(t, "the end", ended)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Max: -2}, {MaxBytes: -1}, {Timeout: -1}, {Target: -1}, {Interval: -1}, {Target: time.Second, Interval: time.Millisecond}, {Timeout: time.Second, Interval: time.Minute}} {
		if _, err := New(o, nil); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, o := range []Options{{}, {Timeout: time.Millisecond}, {Target: time.Second}} {
		queueOf(t, o)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		deadline, grpc string
		want           time.Duration
	}{
		{"1767268801500", "", 1500 * time.Millisecond},
		{"1767268799000", "", -time.Second},
		{"5000", "", -24 * time.Hour},
		{"99999999999999999", "", 24 * time.Hour},
		{"500ms", "", 500 * time.Millisecond},
		{"2s", "500m", 500 * time.Millisecond},
		{"100ms", "500m", 100 * time.Millisecond},
		{"", "1S", time.Second},
		{"", "99999999H", 24 * time.Hour},
		{"", "100u", 100 * time.Microsecond},
		{"soon", "500", 0},
		{"", "123456789S", 0},
		{"", "-1S", 0},
		{"", "S", 0},
		{"99999999999999999999", "", 0},
		{"", "", 0},
	} {
		h := http.Header{}
		if c.deadline != "" {
			h.Set("X-Request-Deadline", c.deadline)
		}
		if c.grpc != "" {
			h.Set("grpc-timeout", c.grpc)
		}
		got := Deadline(h, now)
		if c.want == 0 != got.IsZero() || c.want != 0 && got.Sub(now) != c.want {
			t.Errorf("%q, %q: %s after, want %s", c.deadline, c.grpc, got.Sub(now), c.want)
		}
	}
	for text, want := range map[string]int{"0": 0, "9": 9, "": 5, "10": 5, "-1": 5, "x": 5} {
		if got := Priority(http.Header{"X-Priority": {text}}, "X-Priority"); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if got := Priority(http.Header{"X-Priority": {"9", "0"}}, "X-Priority"); got != DefaultPriority {
		t.Errorf("two: %d", got)
	}
}

// TestNothingWaits: where nothing waits, a request costs no lock and no allocation.
func TestNothingWaits(t *testing.T) {
	q := queueOf(t, Options{})
	q.mu.Lock() // so that one that took the lock would never come back
	defer q.mu.Unlock()
	if n := testing.AllocsPerRun(1000, func() {
		if q.Busy() {
			t.Fatal("a request would join")
		}
		q.Freed(1)
		q.Wake()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkWake measures the time from when a place is given up to when the request that waited for it goes on.
func BenchmarkWake(b *testing.B) {
	q, p := queueOf(b, Options{}), placesOf(0)
	var took []time.Duration
	for b.Loop() {
		turn := q.Join(Request{Place: p.take})
		at, waits := make(chan time.Time), make(chan struct{})
		go func() {
			close(waits)
			<-turn.Done()
			at <- time.Now()
		}()
		<-waits
		runtime.Gosched() // it waits by then
		began := time.Now()
		p.give(q, 0)
		took = append(took, (<-at).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}

// BenchmarkWait measures a request that waits, with a thousand others.
func BenchmarkWait(b *testing.B) {
	q, p := queueOf(b, Options{Max: 2000, Timeout: time.Hour, Target: time.Hour, Interval: time.Hour}), placesOf(0)
	for range 1000 {
		q.Join(Request{Place: p.take})
	}
	b.ReportAllocs()
	for b.Loop() {
		q.Join(Request{Place: p.take})
		p.give(q, time.Millisecond)
	}
}
