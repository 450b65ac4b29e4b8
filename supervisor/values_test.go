package supervisor

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestPublishedIsBounded in bytes and in descriptors; what the master sets is not.
func TestPublishedIsBounded(t *testing.T) {
	s := newStage(t)
	large := encoded(t, strings.Repeat("x", ipc.HeapMax+1))
	defer large.Release()
	publish := func(key string, p *ipc.Payload) (kept bool) {
		s.publish(s.m, ipc.Set{ID: 1, Key: key, Payload: p.Retain()})
		_, kept = s.store.Get(key)
		return kept
	}
	for i := range maxMapped {
		if !publish(strconv.Itoa(i), large) {
			t.Fatalf("large value %d is refused", i)
		}
	}
	if publish("more", large) {
		t.Error("one large value too many")
	}
	if !publish("0", large) {
		t.Error("the same key again costs more")
	}
	small := encoded(t, "small")
	defer small.Release()
	if !publish("small", small) {
		t.Error("a small value is refused for the large ones")
	}
	s.set("1", large.Retain(), "set")
	s.delete("2")
	if !publish("a", large) || !publish("b", large) || publish("c", large) {
		t.Error("what was taken over or deleted makes no room, or too much")
	}

	s.published.total.bytes = maxPublished - 3
	if publish("bytes", small) {
		t.Error("more bytes than allowed")
	}
	if s.m.outbox == nil {
		t.Errorf("a refusal ended the channel: %s", s.said())
	}
}

func TestSameSource(t *testing.T) {
	fetch := func(context.Context) (any, error) { return 1, nil }
	closure := func(n int) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { return n, nil }
	}
	one := closure(1)
	base := CacheValue{Key: "k", Exec: []string{"date"}, Env: map[string]string{"A": "1"}}
	other := base
	other.Env = map[string]string{"A": "2"}
	equal := base
	equal.Exec, equal.Env = []string{"date"}, map[string]string{"A": "1"}
	for name, c := range map[string]struct {
		a, b CacheValue
		want bool
	}{
		"equal":         {base, equal, true},
		"variable":      {base, other, false},
		"function":      {CacheValue{Key: "k", Func: fetch}, CacheValue{Key: "k", Func: fetch}, true},
		"one closure":   {CacheValue{Key: "k", Func: one}, CacheValue{Key: "k", Func: one}, true},
		"two closures":  {CacheValue{Key: "k", Func: one}, CacheValue{Key: "k", Func: closure(2)}, false},
		"none any more": {CacheValue{Key: "k", Func: fetch}, CacheValue{Key: "k"}, false},
		"interval":      {CacheValue{Key: "k", Func: fetch}, CacheValue{Key: "k", Func: fetch, Every: 1}, false},
	} {
		if got := sameSource(c.a, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
