package cache

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestKnownNeverChanges: what was told once stays as it was, whatever the store does.
func TestKnownNeverChanges(t *testing.T) {
	var s store
	defer s.Close()
	if k := s.Known(); k.Len != 0 || len(k.All(time.Now())) != 0 || len(k.Keys()) != 0 {
		t.Errorf("an empty store tells %v", k.All(time.Now()))
	}
	for i := range 3 * buckets {
		s.Set(time.Now(), fmt.Sprint("key", i), payload(t, "a"), "test")
	}
	before := s.Known()
	s.Set(time.Now(), "key1", payload(t, "longer"), "test")
	s.Delete(time.Now(), "key2")
	s.fail("new", errors.New("no such table"))
	s.fail("new", errors.New("no such table"))
	after := s.Known()
	type want struct {
		of       Known
		key      string
		bytes    int
		failures uint64
		known    bool
	}
	for _, w := range []want{
		{before, "key1", 1, 0, true}, {before, "key2", 1, 0, true}, {before, "new", 0, 0, false},
		{after, "key1", 6, 0, true}, {after, "key2", 0, 0, false}, {after, "new", 0, 2, true},
	} {
		got, ok := w.of.Get(w.key, time.Now())
		if ok != w.known || got.Bytes != w.bytes || got.Failures != w.failures {
			t.Errorf("epoch %d, %s: %+v, %v", w.of.Epoch, w.key, got, ok)
		}
	}
	if before.Len != 3*buckets || len(before.All(time.Now())) != before.Len || len(after.Keys()) != after.Len {
		t.Errorf("%d keys of %d, %d of %d", len(before.All(time.Now())), before.Len, len(after.Keys()), after.Len)
	}
	if s.Touched() || s.Known().parts != after.parts {
		t.Error("a store that has not changed tells anew")
	}
}

// BenchmarkKnown has one key of many set between two calls.
func BenchmarkKnown(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var s store
			defer s.Close()
			for i := range n {
				s.Set(time.Now(), fmt.Sprint("key", i), payload(b, "a"), "test")
			}
			s.Known()
			b.ReportAllocs()
			for b.Loop() {
				s.touch("key1")
				s.Known()
			}
		})
	}
}
