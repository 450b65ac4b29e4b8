package cache

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestStoreEachChangeGetsTheNextEpoch(t *testing.T) {
	var s store
	defer s.Close()
	for i, step := range []struct {
		key, value string
		epoch      uint64
		changed    bool
	}{
		{"a", "1", 1, true},
		{"b", "1", 2, true},
		{"a", "1", 1, false},
		{"a", "0", 3, true},
		{"a", "", 4, true},
		{"a", "", 4, false},
		{"b", strings.Repeat("x", ipc.InlineMax+1), 5, true},
		{"b", strings.Repeat("x", ipc.InlineMax+1), 5, false},
		{"b", strings.Repeat("x", ipc.InlineMax) + "y", 6, true},
	} {
		c, changed := s.Set(t0, step.key, payload(t, step.value), "test")
		if c.Epoch != step.epoch || changed != step.changed || c.Key != step.key {
			t.Errorf("step %d: got epoch %d of %s, changed %v", i, c.Epoch, c.Key, changed)
		}
	}
	if s.Epoch() != 6 {
		t.Errorf("epoch is %d", s.Epoch())
	}
}

func TestStoreDelete(t *testing.T) {
	var s store
	defer s.Close()
	if _, deleted := s.Delete(t0, "a"); deleted {
		t.Error("deleted what was not there")
	}
	s.Set(t0, "a", payload(t, "1"), "test")
	c, deleted := s.Delete(t0, "a")
	if !deleted || c.Epoch != 2 {
		t.Errorf("got %+v, %v", c, deleted)
	}
	if f, ok := c.Frame().(ipc.Delete); !ok || f.Key != "a" || f.Epoch != 2 {
		t.Errorf("the frame is %+v", c.Frame())
	}
	if _, ok := s.Get("a"); ok {
		t.Error("still there")
	}
	// The same value is a change again.
	if c, changed := s.Set(t0, "a", payload(t, "1"), "test"); !changed || c.Epoch != 3 {
		t.Errorf("got %+v, %v", c, changed)
	}
	s.fail("only failed", errors.New("no"))
	if _, deleted := s.Delete(t0, "only failed"); deleted || s.Epoch() != 3 {
		t.Error("a key without a value was no state that workers have seen")
	}
}

func TestStoreSnapshotIsInTheOrderOfTheEpochs(t *testing.T) {
	var s store
	s.Set(t0, "a", payload(t, "1"), "test")
	s.Set(t0, "b", payload(t, "2"), "test")
	s.Set(t0, "c", payload(t, "3"), "test")
	s.Set(t0.Add(time.Second), "a", payload(t, "4"), "test")
	s.Delete(t0, "b")
	s.fail("d", errors.New("no"))
	epoch, sets := s.Snapshot()
	// The references are the caller's: they outlive the store.
	s.Close()
	if epoch != 5 || len(sets) != 2 {
		t.Fatalf("got epoch %d and %d values", epoch, len(sets))
	}
	if sets[0].Key != "c" || sets[0].Epoch != 3 || text(t, sets[0].Payload) != "3" {
		t.Errorf("first is %+v", sets[0])
	}
	if sets[1].Key != "a" || sets[1].Epoch != 4 || !sets[1].ChangedAt.Equal(t0.Add(time.Second)) || text(t, sets[1].Payload) != "4" {
		t.Errorf("second is %+v", sets[1])
	}
}

func TestStoreAgesAndFailures(t *testing.T) {
	var s store
	defer s.Close()
	at := func(d time.Duration) time.Time { return t0.Add(d * time.Second) }
	s.fail("late", errors.New("refused"))
	s.Set(at(0), "users", payload(t, "50"), "sql")
	s.Set(at(5), "users", payload(t, "50"), "sql")
	s.fail("users", errors.New("locked"))
	got := s.Status(at(11))
	want := []ValueStatus{
		{Key: "late", Error: "refused", Failures: 1},
		{Key: "users", Epoch: 1, Bytes: 2, Age: 11 * time.Second, CheckedAge: 6 * time.Second, Source: "sql", Error: "locked", Failures: 1},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("got %+v", got)
	}
	if p, ok := s.Get("users"); !ok || text(t, p.Retain()) != "50" {
		t.Error("a failure must leave the value")
	}
	s.Set(at(15), "users", payload(t, "50"), "sql")
	if st := s.Status(at(15))[1]; st.Error != "" || st.CheckedAge != 0 || st.Age != 15*time.Second {
		t.Errorf("after it works again: %+v", st)
	}
}

func TestChangeFrameHasItsOwnReference(t *testing.T) {
	var s store
	c, _ := s.Set(t0, "a", payload(t, "1"), "test")
	first, second := c.Frame().(ipc.Set), c.Frame().(ipc.Set)
	s.Close()
	if text(t, first.Payload) != "1" || text(t, second.Payload) != "1" {
		t.Error("the frames' payloads are gone")
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{16, 4096, 1 << 20} {
		for _, kind := range []string{"changed", "unchanged"} {
			b.Run(kind+"/"+strconv.Itoa(n), func(b *testing.B) {
				var s store
				defer s.Close()
				even, odd := payload(b, strings.Repeat("a", n)), payload(b, strings.Repeat("b", n))
				defer even.Release()
				defer odd.Release()
				s.Set(t0, "key", even.Retain(), "bench")
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					p := even
					if i++; kind == "changed" && i%2 == 1 {
						p = odd
					}
					s.Set(t0, "key", p.Retain(), "bench")
				}
			})
		}
	}
}
