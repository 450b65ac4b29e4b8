package rounds

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func some(ids ...string) (all []members.Member) {
	for _, id := range ids {
		all = append(all, members.Member{ID: id, Address: id + ":1"})
	}
	return all
}

// TestPace: members are asked in their interval, whatever an answer takes, and never twice at once.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+50*time.Millisecond)
		defer cancel()
		r := New(Options{Every: time.Second, Timeout: 5 * time.Second, Jitter: -1})
		r.Update(some("fast", "slow"))
		var fast, slow atomic.Int64
		r.Run(ctx, func(ctx context.Context, m members.Member) {
			if m.ID == "fast" {
				fast.Add(1)
				return
			}
			slow.Add(1)
			select {
			case <-time.After(2500 * time.Millisecond):
			case <-ctx.Done():
			}
		})
		// At 0 s, 1 s, ... 10 s; the slow one is free again at each third second.
		if fast.Load() != 11 || slow.Load() != 4 {
			t.Errorf("the fast one was asked %d times, the slow one %d times", fast.Load(), slow.Load())
		}
	})
}

// TestJitter: questions are Every apart by up to the share, and on average.
func TestJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
		defer cancel()
		r := New(Options{Every: time.Second, Jitter: 0.2})
		r.Update(some("a"))
		var last time.Time
		n, least, most := 0, time.Hour, time.Duration(0)
		r.Run(ctx, func(context.Context, members.Member) {
			if now := time.Now(); n > 0 {
				least, most = min(least, now.Sub(last)), max(most, now.Sub(last))
			}
			last = time.Now()
			n++
		})
		if n < 950 || n > 1050 || least < 790*time.Millisecond || least > 850*time.Millisecond || most > 1210*time.Millisecond || most < 1150*time.Millisecond {
			t.Errorf("%d times in 1000 s, %s to %s apart", n, least, most)
		}
	})
}

// TestAtOnce: never more than so many at once, and all have their turn: 200 members that do not answer.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r := New(Options{Every: time.Second, Timeout: time.Second, AtOnce: 20})
		var all []members.Member
		for i := range 200 {
			all = append(all, members.Member{ID: fmt.Sprint(i), Address: "h:1"})
		}
		r.Update(all)
		var mu sync.Mutex
		now, most := 0, 0
		times := make([]atomic.Int64, len(all))
		r.Run(ctx, func(ctx context.Context, m members.Member) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			var i int
			fmt.Sscan(m.ID, &i)
			times[i].Add(1)
			<-ctx.Done()
			mu.Lock()
			now--
			mu.Unlock()
		})
		if most != 20 {
			t.Errorf("%d at once", most)
		}
		for i := range times {
			if n := times[i].Load(); n < 1 || n > 3 {
				t.Errorf("%d was asked %d times", i, n)
			}
		}
	})
}

// TestUpdate: an answer of a member that has left, or has moved, does not count; a new one is asked at once.
func TestUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := New(Options{Every: time.Hour, Timeout: time.Hour})
		r.Update(some("a", "b", "c"))
		asked, ended := make(chan string, 10), make(chan string, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx, func(ctx context.Context, m members.Member) {
				asked <- m.ID + " at " + m.Address
				<-ctx.Done()
				if !errors.Is(ctx.Err(), context.Canceled) {
					t.Error(ctx.Err())
				}
				ended <- m.ID + " at " + m.Address
			})
		}()
		gather := func(from chan string) string {
			synctest.Wait()
			found := map[string]bool{}
			for len(from) > 0 {
				found[<-from] = true
			}
			var all []string
			for _, text := range []string{"a at a:1", "b at b:1", "b at b:2", "c at c:1", "d at d:1"} {
				if found[text] {
					all = append(all, text)
				}
			}
			if len(all) != len(found) {
				t.Errorf("got %v", found)
			}
			return strings.Join(all, ", ")
		}
		if got := gather(asked); got != "a at a:1, b at b:1, c at c:1" {
			t.Errorf("asked %s", got)
		}
		r.Update([]members.Member{{ID: "a", Address: "a:1"}, {ID: "b", Address: "b:2"}, {ID: "d", Address: "d:1"}})
		if got := gather(asked); got != "b at b:2, d at d:1" {
			t.Errorf("asked %s", got)
		}
		if got := gather(ended); got != "b at b:1, c at c:1" {
			t.Errorf("ended %s", got)
		}
		cancel()
		<-done
	})
}

// TestTimeout: a question ends with its time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := New(Options{Timeout: 300 * time.Millisecond})
		r.Update(some("a"))
		start := time.Now()
		r.Run(ctx, func(ctx context.Context, _ members.Member) {
			<-ctx.Done()
			if took := time.Since(start); !errors.Is(ctx.Err(), context.DeadlineExceeded) || took != 300*time.Millisecond {
				t.Errorf("%v after %s", ctx.Err(), took)
			}
			cancel()
		})
	})
}
