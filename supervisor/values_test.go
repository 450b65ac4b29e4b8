package supervisor

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
)

// TestPublishedIsBounded in bytes; what the master sets itself is not.
func TestPublishedIsBounded(t *testing.T) {
	s := newStage(t)
	publish := func(key string) bool {
		s.publish(s.m, ipc.Set{ID: 1, Key: key, Payload: encoded(t, "small")})
		_, kept := s.store.Get(key)
		return kept
	}
	s.published.total = maxPublished - 7
	if !publish("a") || publish("b") || !publish("a") {
		t.Error("fewer bytes than allowed, or more")
	}
	s.mustSet(t, "b", "small")
	s.mustSet(t, "a", "small") // it is the master's now
	if !publish("c") || publish("d") {
		t.Error("what was taken over makes no room, or too much")
	}
	if s.m.outbox == nil {
		t.Errorf("a refusal ended the channel: %s", s.said())
	}
}

// TestValuesKeepToTheirDescriptors, by whichever way they are set: beyond their share those that can do without a memory file, longer ones
// are refused, and everything else goes on.
func TestValuesKeepToTheirDescriptors(t *testing.T) {
	s := newStage(t)
	share := s.s.descriptors().Values
	short, long := encoded(t, strings.Repeat("s", ipc.InlineMax)), encoded(t, strings.Repeat("l", ipc.InlineMax+1))
	defer short.Release()
	defer long.Release()
	set := func(key string, p *ipc.Payload) error { _, err := s.set(key, p.Retain(), sourceSet); return err }
	for i := range share {
		if err := set(strconv.Itoa(i), []*ipc.Payload{short, long}[i%2]); err != nil {
			t.Fatalf("value %d of %d: %v", i, share, err)
		}
	}
	full := func(when string) {
		t.Helper()
		if n := s.store.Mapped(); n != share {
			t.Errorf("%s: %d values have a memory file, want %d", when, n, share)
		}
	}
	full("at the bound")
	refused := refusedValue{}
	if err := set("more", long); !errors.As(err, &refused) || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("one too many: %v", err)
	}
	s.publish(s.m, ipc.Set{ID: 1, Key: "more", Payload: long.Retain()})
	if _, ok := s.store.Get("more"); ok {
		t.Error("a worker has set one too many")
	}
	j := &job{config: config.CacheValue{Key: "more"}, source: cache.File("/nowhere")}
	s.jobs["more"] = j
	s.sourceResult(j, cache.Result{Key: "more", Payload: long.Retain()})
	if st := s.store.Status(time.Now()); !j.failing || !strings.Contains(st[len(st)-1].Error, "RLIMIT_NOFILE") {
		t.Errorf("a source has set one too many, or does not say so: %+v", st[len(st)-1])
	}
	if err := errors.Join(set("0", long), set("1", short), set("1", long)); err != nil {
		t.Errorf("a key that has a file may not have another: %v", err)
	}
	full("after replacing")
	for i := range 10 {
		if err := set("short"+strconv.Itoa(i), short); err != nil {
			t.Errorf("one that needs no file: %v", err)
		}
	}
	full("after short ones")
	if got, ok := s.store.Get("short1"); !ok || got.Mapped() || !got.Equal(short) {
		t.Error("it has other bytes, or a file")
	}
	epoch := s.store.Epoch()
	if err := set("short1", short); err != nil || s.store.Epoch() != epoch {
		t.Errorf("the same value is a change: %v", err)
	}
	s.delete("2")
	s.mustSet(t, "3", "small")
	if err := errors.Join(set("a", long), set("b", long)); err != nil {
		t.Errorf("what was deleted or became small makes no room: %v", err)
	}
	full("in the end")
	if set("c", long) == nil {
		t.Error("it makes too much")
	}
	for _, key := range []string{"", strings.Repeat("k", ipc.MaxKey+1), "\xff"} {
		if err := set(key, short); !errors.As(err, &refused) {
			t.Errorf("key %q: %v", key, err) // no worker could be told any more
		}
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
