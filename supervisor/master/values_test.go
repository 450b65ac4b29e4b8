package master

import (
	"context"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
)

// TestRefusedValue: a worker is told that it cannot set a value, and keeps its channel.
func TestRefusedValue(t *testing.T) {
	s := newStage(t)
	s.publish(s.m, ipc.Set{ID: 1, Key: "", Payload: encoded(t, "v")})
	if !s.m.Open() || s.values.Len() != 0 {
		t.Errorf("it is set, or the refusal ended the channel: %s", s.said())
	}
}

// TestFirstWorkersWaitForSources, but not for ever; what a source yields goes to them.
func TestFirstWorkersWaitForSources(t *testing.T) {
	s := newStage(t)
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		s.s.wg.Wait()
	})
	s.m.Subscribed, s.m.Slot = false, -1
	s.wantSnapshot = []*crew.Worker{s.m}
	answer := make(chan string, 1)
	fetch := func(context.Context) (any, error) { return <-answer, nil }
	s.startSources([]config.CacheValue{{Key: "k", Func: fetch, Every: time.Hour, Timeout: time.Hour}})
	due := s.nextValues()
	if s.snapshot || due.IsZero() || s.m.Subscribed {
		t.Fatal("a source that has not answered is not waited for")
	}
	s.introduceInTime(due)
	if !s.snapshot || !s.m.Subscribed || !s.nextValues().IsZero() {
		t.Error("the worker waits on")
	}
	answer <- "v"
	(<-s.s.inbox).apply(s.loop)
	if p, ok := s.values.Get("k"); !ok || p.Len() != 1 {
		t.Error("the value is not set")
	}
}

func TestSameSource(t *testing.T) {
	fetch := func(context.Context) (any, error) { return 1, nil }
	closure := func(n int) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { return n, nil }
	}
	one := closure(1)
	base := config.CacheValue{Key: "k", Exec: []string{"date"}, Env: map[string]string{"A": "1"}}
	other := base
	other.Env = map[string]string{"A": "2"}
	equal := base
	equal.Exec, equal.Env = []string{"date"}, map[string]string{"A": "1"}
	for name, c := range map[string]struct {
		a, b config.CacheValue
		want bool
	}{
		"equal":         {base, equal, true},
		"variable":      {base, other, false},
		"function":      {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k", Func: fetch}, true},
		"one closure":   {config.CacheValue{Key: "k", Func: one}, config.CacheValue{Key: "k", Func: one}, true},
		"two closures":  {config.CacheValue{Key: "k", Func: one}, config.CacheValue{Key: "k", Func: closure(2)}, false},
		"none any more": {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k"}, false},
		"interval":      {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k", Func: fetch, Every: 1}, false},
	} {
		if got := sameSource(c.a, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
