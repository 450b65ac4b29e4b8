package cache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

// TestPublishedIsBounded in bytes and in keys; what the master sets itself is not.
func TestPublishedIsBounded(t *testing.T) {
	s := newMaster(t, 512)
	publish := func(key string) bool {
		_, err := s.publish(key, payload(t, "small"))
		_, kept := s.Get(key)
		if kept != (err == nil) {
			t.Errorf("%s is kept: %v; %v", key, kept, err)
		}
		return kept
	}
	s.published.total = MaxPublished - 7
	if !publish("a") || publish("b") || !publish("a") {
		t.Error("fewer bytes than allowed, or more")
	}
	s.mustSet(t, "b", "small")
	s.mustSet(t, "a", "small") // it is the master's now
	if !publish("c") || publish("d") {
		t.Error("what was taken over makes no room, or too much")
	}
	s.published = published{}
	for i := s.Len(); i < maxKeys; i++ {
		s.mustSet(t, strconv.Itoa(i), "")
	}
	if publish("new") || !publish("c") {
		t.Error("one key too many, or a known one is refused")
	}
	s.mustSet(t, "new", "")
}

// TestValuesKeepToTheirDescriptors, by whichever way they are set: beyond their share those that can do without a memory file, longer ones
// are refused, and everything else goes on.
func TestValuesKeepToTheirDescriptors(t *testing.T) {
	const share = 20
	s := newMaster(t, share)
	short, long := payload(t, strings.Repeat("s", ipc.InlineMax)), payload(t, strings.Repeat("l", ipc.InlineMax+1))
	defer short.Release()
	defer long.Release()
	set := func(key string, p *ipc.Payload) error { _, err := s.set(key, p.Retain(), SourceSet); return err }
	for i := range share {
		if err := set(strconv.Itoa(i), []*ipc.Payload{short, long}[i%2]); err != nil {
			t.Fatalf("value %d of %d: %v", i, share, err)
		}
	}
	full := func(when string) {
		t.Helper()
		if n := s.Mapped(); n != share {
			t.Errorf("%s: %d values have a memory file, want %d", when, n, share)
		}
	}
	full("at the bound")
	refused := RefusedError{}
	if err := set("more", long); !errors.As(err, &refused) || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := s.publish("more", long.Retain()); !errors.As(err, &refused) {
		t.Errorf("a worker has set one too many: %v", err)
	}
	feed, _ := s.Begin("more", File("/nowhere"), false)
	_, _, failed := s.Fetched(time.Now(), feed, Result{Key: "more", Payload: long.Retain()})
	if st := s.Status(time.Now()); !errors.As(failed, &refused) || !strings.Contains(st[len(st)-1].Error, "RLIMIT_NOFILE") {
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
	if got, ok := s.Get("short1"); !ok || got.Mapped() || !got.Equal(short) {
		t.Error("it has other bytes, or a file")
	}
	epoch := s.Epoch()
	if err := set("short1", short); err != nil || s.Epoch() != epoch {
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

// yields is a source that is never asked here.
func yields(context.Context) (any, error) { return "v", nil }

// TestRestoredSources: a value that is there already is the source's first result, and the same one is no change. A value whose
// source is not in the config any more is told.
func TestRestoredSources(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	s.set("a", payload(t, "v"), "func")
	s.set("old", payload(t, "1"), "exec: date")
	s.set("kept", payload(t, "1"), SourceSet)
	s.set("theirs", payload(t, "1"), workerSource(7))
	s.Close()

	s = successor(t, k)
	if got := s.Orphans(func(key string) bool { return key == "a" }); len(got) != 1 || got[0] != "old" {
		t.Errorf("without a source are %q", got)
	}
	now := time.Now()
	if _, before := s.Begin("a", Exec([]string{"true"}, "", nil), true); before != nil || s.Complete(now) {
		t.Error("the value of another source is taken for its own")
	}
	if _, before := s.Begin("a", Func(yields), false); before != nil || s.Complete(now) {
		t.Error("a source that is begun later need not answer")
	}
	feed, before := s.Begin("a", Func(yields), true)
	if before == nil || text(t, before) != "v" || !s.Complete(now) {
		t.Fatal("its own value is not taken for its first result")
	}
	_, changed, failed := s.Fetched(now, feed, Result{Key: "a", Payload: payload(t, "v")})
	if st := s.Status(now)[0]; changed || failed != nil || s.Epoch() != 4 || st.Epoch != 1 || st.CheckedAge > time.Minute {
		t.Errorf("the same value is a change: %+v, %v", st, failed)
	}
}

// TestFirstResults: workers wait for the first result of every source, good or bad, and no longer than that takes at most.
func TestFirstResults(t *testing.T) {
	s := newMaster(t, 512)
	now := time.Now()
	a, _ := s.Begin("a", Func(yields), true)
	b, _ := s.Begin("b", Func(yields), true)
	s.Await(now)
	if s.Complete(now) || !s.Deadline().Equal(now.Add(firstResults)) || !s.Complete(s.Deadline()) {
		t.Error("two sources that have not answered are not waited for, or for ever")
	}
	if c, changed, failed := s.Fetched(now, a, Result{Key: "a", Payload: payload(t, "1")}); !changed || c.Epoch != 1 || failed != nil || s.Complete(now) {
		t.Errorf("first result: %+v, %v, %v", c, changed, failed)
	}
	s.End("b")
	if !s.Complete(now) {
		t.Error("a source that has ended is waited for")
	}
	late, _ := s.Begin("b", Func(yields), false)
	if _, changed, failed := s.Fetched(now, b, Result{Key: "b", Payload: payload(t, "1")}); changed || failed != nil || s.Complete(now) {
		t.Error("the result of a source that has ended counts")
	}
	broken := errors.New("no such table")
	for n, want := range []error{broken, nil, nil} {
		if _, _, failed := s.Fetched(now, late, Result{Key: "b", Err: broken}); failed != want || !s.Complete(now) {
			t.Errorf("failure %d: %v, want %v", n+1, failed, want)
		}
	}
	s.Fetched(now, late, Result{Key: "b", Payload: payload(t, "1")})
	if _, _, failed := s.Fetched(now, late, Result{Key: "b", Err: broken}); failed != broken {
		t.Errorf("after it worked: %v", failed)
	}
	if st := s.Status(now)[1]; st.Failures != 4 || st.Error != broken.Error() {
		t.Errorf("%+v", st)
	}
}
