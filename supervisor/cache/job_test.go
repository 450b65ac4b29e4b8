package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinehq/tine/ipc"
)

// fake is a source whose every fetch is scripted.
type fake struct {
	fetch  func(ctx context.Context, n int) (*ipc.Payload, error)
	mu     sync.Mutex // of the next two: a fetch that was left behind is no longer the test's
	n      int
	starts []time.Duration // since the test began
	began  time.Time
	out    atomic.Int32
	closed atomic.Bool
}

func (f *fake) String() string { return "fake" }

func (f *fake) Fetch(ctx context.Context) (*ipc.Payload, error) {
	if f.out.Add(1) > 1 || f.closed.Load() {
		panic("two fetches at once, or one after Close")
	}
	defer f.out.Add(-1)
	f.mu.Lock()
	f.n++
	n := f.n
	f.starts = append(f.starts, time.Since(f.began))
	f.mu.Unlock()
	return f.fetch(ctx, n)
}

func (f *fake) Close() error {
	if f.out.Load() != 0 {
		panic("closed during a fetch")
	}
	f.closed.Store(true)
	return nil
}

// run runs a job for d of the bubble's time and returns its results as short texts.
func run(t *testing.T, f *fake, j Job, d time.Duration) (texts []string, results []Result) {
	t.Helper()
	f.began = time.Now()
	j.Key, j.Source = "key", f
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		RunJob(ctx, j, func(r Result) {
			short := ""
			switch {
			case r.Err == nil:
				short = text(t, r.Payload)
			case strings.Contains(r.Err.Error(), "hangs"):
				short = "hanging"
			default:
				short = "error"
			}
			texts, results = append(texts, short), append(results, r)
		})
	}()
	<-done
	if over := time.Since(f.began) - d; over > time.Second {
		t.Errorf("RunJob returned %s after its context was done", over)
	}
	return texts, results
}

func seconds(f *fake) []float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []float64
	for _, d := range f.starts {
		out = append(out, d.Seconds())
	}
	return out
}

func TestJobIntervalIsFromStartToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(_ context.Context, n int) (*ipc.Payload, error) {
			time.Sleep(3 * time.Second)
			return Encode(n)
		}}
		texts, results := run(t, f, Job{Every: 5 * time.Second}, 12*time.Second)
		if !slices.Equal(seconds(f), []float64{0, 5, 10}) || !slices.Equal(texts, []string{"1", "2"}) {
			t.Errorf("fetched at %v, got %v", seconds(f), texts)
		}
		if results[0].Took != 3*time.Second {
			t.Errorf("took %s", results[0].Took)
		}
		synctest.Wait()
		time.Sleep(time.Minute) // the fetch that ctx left behind ends
		if !f.closed.Load() {
			t.Error("the source was not closed")
		}
	})
}

func TestJobThatTakesLongerThanItsIntervalDelaysTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(ctx context.Context, n int) (*ipc.Payload, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(2 * time.Second):
			}
			return Encode(n)
		}}
		run(t, f, Job{Every: time.Second}, 5*time.Second)
		if !slices.Equal(seconds(f), []float64{0, 2, 4}) {
			t.Errorf("fetched at %v", seconds(f))
		}
	})
}

func TestJobRetriesSoonAsLongAsThereIsNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(_ context.Context, n int) (*ipc.Payload, error) {
			if n <= 4 || n == 6 {
				return nil, errors.New("refused")
			}
			return Encode(n)
		}}
		texts, _ := run(t, f, Job{Every: 5 * time.Second}, 12*time.Second)
		if !slices.Equal(seconds(f), []float64{0, 0.1, 0.3, 0.7, 1.5, 6.5, 11.5}) {
			t.Errorf("fetched at %v", seconds(f))
		}
		if !slices.Equal(texts, []string{"error", "error", "error", "error", "5", "error", "7"}) {
			t.Errorf("got %v", texts)
		}
	})
}

func TestJobWithAKnownValueKeepsItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(context.Context, int) (*ipc.Payload, error) { return nil, errors.New("refused") }}
		run(t, f, Job{Every: 5 * time.Second, Known: true}, 12*time.Second)
		if !slices.Equal(seconds(f), []float64{0, 5, 10}) {
			t.Errorf("fetched at %v", seconds(f))
		}
	})
}

func TestJobRetriesAreNeverRarerThanTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(context.Context, int) (*ipc.Payload, error) { return nil, errors.New("refused") }}
		run(t, f, Job{Every: 300 * time.Millisecond}, 1150*time.Millisecond)
		if !slices.Equal(seconds(f), []float64{0, 0.1, 0.3, 0.6, 0.9}) {
			t.Errorf("fetched at %v", seconds(f))
		}
	})
}

func TestJobTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(ctx context.Context, n int) (*ipc.Payload, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		_, results := run(t, f, Job{Every: 5 * time.Second, Timeout: 2 * time.Second}, 1900*time.Millisecond)
		if len(results) != 0 {
			t.Errorf("got %v before the timeout", results)
		}
		f = &fake{fetch: f.fetch}
		_, results = run(t, f, Job{Every: 5 * time.Second, Timeout: 2 * time.Second}, 2100*time.Millisecond)
		if len(results) != 1 || !errors.Is(results[0].Err, context.DeadlineExceeded) || strings.Contains(results[0].Err.Error(), "hangs") {
			t.Fatalf("got %+v", results)
		}
		if got := results[0].Err.Error(); !strings.HasPrefix(got, "no answer within 2s") {
			t.Errorf("the error is %q", got)
		}
	})
}

func TestJobLeavesAHangingFetchBehindAndNeverDoublesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fake{fetch: func(ctx context.Context, n int) (*ipc.Payload, error) {
			if n == 2 {
				<-release // deaf to ctx
			}
			return Encode(n)
		}}
		time.AfterFunc(18*time.Second, func() { close(release) })
		texts, results := run(t, f, Job{Every: 5 * time.Second, Timeout: time.Second}, 22*time.Second)
		// At 0: 1. At 5: 2 hangs, told at 6.25, 10 and 15. It returns at 18: thrown away. At 20: 3.
		if !slices.Equal(texts, []string{"1", "hanging", "hanging", "hanging", "3"}) {
			t.Errorf("got %v", texts)
		}
		if !slices.Equal(seconds(f), []float64{0, 5, 20}) {
			t.Errorf("fetched at %v", seconds(f))
		}
		if got := results[3].Err.Error(); got != "no answer within 1s, and the source hangs for 9s since" {
			t.Errorf("the error is %q", got)
		}
	})
}

func TestJobEndsThoughItsFetchHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fake{fetch: func(context.Context, int) (*ipc.Payload, error) {
			<-release
			return Encode("late")
		}}
		run(t, f, Job{Every: time.Second}, 500*time.Millisecond) // checks that it returned in time
		if f.closed.Load() {
			t.Error("closed while the fetch is out")
		}
		close(release)
		synctest.Wait()
		if !f.closed.Load() {
			t.Error("not closed after the fetch returned")
		}
	})
}

func TestJobJitterStaysInItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fetch: func(_ context.Context, n int) (*ipc.Payload, error) { return Encode(n) }}
		run(t, f, Job{Every: 10 * time.Second, Jitter: 0.2}, time.Hour)
		different := false
		for i := 1; i < len(f.starts); i++ {
			gap := f.starts[i] - f.starts[i-1]
			if gap < 8*time.Second || gap > 12*time.Second {
				t.Errorf("interval of %s", gap)
			}
			different = different || gap != 10*time.Second
		}
		if !different || len(f.starts) < 300 {
			t.Errorf("%d fetches, no jitter", len(f.starts))
		}
	})
}
