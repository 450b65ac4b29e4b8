package values

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is Values in a loop that the test runs, with what they have had done.
type stage struct {
	*Values
	wg         sync.WaitGroup
	inbox      chan Message
	spread     []string
	events     []string
	introduced int
}

func (s *stage) Post(m Message) bool { s.inbox <- m; return true }
func (s *stage) Go(f func())         { s.wg.Go(f) }
func (s *stage) Introduce()          { s.introduced++ }
func (s *stage) Event(_ zerolog.Level, e api.Event) {
	s.events = append(s.events, e.Kind+" "+e.Message)
}
func (s *stage) Spread(c cache.Change) {
	if c.Payload == nil {
		s.spread = append(s.spread, "-"+c.Key)
		return
	}
	text, _ := c.Payload.Bytes()
	s.spread = append(s.spread, c.Key+"="+string(text))
}

func newStage(t *testing.T) *stage {
	s := &stage{inbox: make(chan Message, 64)}
	s.Values = New(s, func() (files, limit int) { return 8, 64 })
	return s
}

// start starts Values, which end with the test.
func (s *stage) start(t *testing.T, all ...config.CacheValue) {
	t.Helper()
	log := zerolog.Nop()
	ctx, cancel := context.WithCancel(context.Background())
	s.Start(ctx, &log, all, nil, nil)
	t.Cleanup(func() {
		cancel()
		s.wg.Wait()
		s.Close()
	})
}

// next acts on what a source has yielded.
func (s *stage) next(t *testing.T) {
	t.Helper()
	eventually.Receive(t, "a result of a source", s.inbox).Act(s.Values)
}

func (s *stage) wants(t *testing.T, spread, events []string) {
	t.Helper()
	if !slices.Equal(s.spread, spread) {
		t.Errorf("the workers were sent %q, want %q", s.spread, spread)
	}
	if !slices.Equal(s.events, events) {
		t.Errorf("events %q, want %q", s.events, events)
	}
	s.spread, s.events = nil, nil
}

func text(t *testing.T, v string) *ipc.Payload {
	t.Helper()
	p, err := cache.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// from is a value whose source yields what comes by answer.
func from(key string, answer <-chan string) config.CacheValue {
	return config.CacheValue{Key: key, Every: time.Hour, Timeout: time.Hour, Func: func(ctx context.Context) (any, error) {
		select {
		case v := <-answer:
			if v == "" {
				return nil, errors.New("nothing there")
			}
			return v, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
}

// TestFirstWorkersWaitForSources, but not for ever; what a source yields later is sent to them.
func TestFirstWorkersWaitForSources(t *testing.T) {
	s := newStage(t)
	answer := make(chan string, 1)
	s.start(t, from("k", answer))
	due := s.Deadline()
	s.Tick(due.Add(-time.Nanosecond))
	if s.Ready() || due.IsZero() || s.introduced != 0 {
		t.Fatal("a source that has not answered is not waited for")
	}
	s.Tick(due)
	if !s.Ready() || s.introduced != 1 || !s.Deadline().IsZero() {
		t.Error("the workers wait on")
	}
	answer <- "v"
	s.next(t)
	s.wants(t, []string{"k=v"}, []string{"value set k"})
	if s.introduced != 1 {
		t.Error("the workers were introduced twice")
	}
}

// TestWorkersWaitForNoLongerThanTheLastSource: its first result counts, whatever it is.
func TestWorkersWaitForNoLongerThanTheLastSource(t *testing.T) {
	s := newStage(t)
	good, bad := make(chan string, 1), make(chan string, 1)
	s.start(t, from("good", good), from("bad", bad))
	good <- "v"
	s.next(t)
	if s.Ready() {
		t.Error("one of two sources has answered, and the workers have the values")
	}
	bad <- ""
	s.next(t)
	if !s.Ready() || s.introduced != 1 {
		t.Error("both sources have answered, and the workers wait on")
	}
	s.wants(t, []string{"good=v"}, []string{"value set good", "value failed bad: nothing there"})
}

// TestNoSource: there is nothing to wait for.
func TestNoSource(t *testing.T) {
	s := newStage(t)
	s.start(t)
	if !s.Ready() || s.introduced != 1 {
		t.Error("the workers wait")
	}
}

// TestChangesAreSent: each change once, with its epoch, and nothing that changes nothing.
func TestChangesAreSent(t *testing.T) {
	s := newStage(t)
	s.start(t)
	if epoch, err := s.Set("a", text(t, "1")); epoch != 1 || err != nil {
		t.Errorf("epoch %d, %v", epoch, err)
	}
	if epoch, err := s.Set("a", text(t, "1")); epoch != 1 || err != nil {
		t.Errorf("the same value: epoch %d, %v", epoch, err)
	}
	if epoch, err := s.Publish("b", text(t, "2"), 7); epoch != 2 || err != nil {
		t.Errorf("published: epoch %d, %v", epoch, err)
	}
	if epoch, err := s.Publish("", text(t, "3"), 7); err == nil {
		t.Errorf("no key: epoch %d", epoch)
	}
	set := make(chan Setting, 1)
	SetValue{"", text(t, "4"), set}.Act(s.Values)
	if got := <-set; !errors.As(got.Err, &cache.RefusedError{}) {
		t.Errorf("no key: %+v", got)
	}
	deleted := make(chan uint64, 1)
	DeleteValue{"a", deleted}.Act(s.Values)
	if epoch := <-deleted; epoch != 3 {
		t.Errorf("deleted: epoch %d", epoch)
	}
	if epoch := s.Delete("a"); epoch != 3 {
		t.Errorf("deleted twice: epoch %d", epoch)
	}
	s.wants(t, []string{"a=1", "b=2", "-a"}, []string{"value set a", "value set b", "value deleted a"})
}

// TestApply: a source that is the same goes on, another one is asked in its place, and a value without a source is deleted.
func TestApply(t *testing.T) {
	s := newStage(t)
	same, old, gone := make(chan string, 1), make(chan string, 1), make(chan string, 1)
	stays, changes := from("same", same), from("changes", old)
	s.start(t, stays, changes, from("gone", gone))
	for _, c := range []chan string{same, old, gone} {
		c <- "v"
		s.next(t)
	}
	s.wants(t, []string{"same=v", "changes=v", "gone=v"}, []string{"value set same", "value set changes", "value set gone"})
	runs := s.sources["same"]
	fresh, added := make(chan string, 1), make(chan string, 1)
	s.Apply([]config.CacheValue{stays, from("changes", fresh), from("new", added)})
	if s.sources["same"] != runs {
		t.Error("a source that did not change was started again")
	}
	s.wants(t, []string{"-gone"}, []string{"value deleted gone"})
	fresh <- "w"
	s.next(t)
	added <- "x"
	s.next(t)
	s.wants(t, []string{"changes=w", "new=x"}, []string{"value set changes", "value set new"})
}

// TestResultOfASourceThatHasEnded: it changes nothing.
func TestResultOfASourceThatHasEnded(t *testing.T) {
	s := newStage(t)
	answer := make(chan string, 1)
	s.start(t, from("k", answer))
	answer <- "late"
	late := eventually.Receive(t, "the result", s.inbox)
	s.Apply(nil)
	late.Act(s.Values)
	s.wants(t, nil, nil)
	if s.Len() != 0 {
		t.Error("it was taken")
	}
}

// TestTakeFiles: of several files of one name the last counts, and what is not of values stays.
func TestTakeFiles(t *testing.T) {
	s := newStage(t)
	kept := map[string]*os.File{}
	s.Open(ptr(zerolog.Nop()), nil, keep(kept))
	if _, err := s.Set("k", text(t, "v")); err != nil {
		t.Fatal(err)
	}
	inherited := map[string][]*os.File{"state": {os.Stdin}}
	for name := range kept {
		first, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		inherited[name] = []*os.File{first, kept[name]}
		defer func() {
			if err := first.Close(); !errors.Is(err, os.ErrClosed) {
				t.Error("the first file stays open")
			}
		}()
	}
	files := TakeFiles(inherited)
	if len(files) != len(kept) || len(files) == 0 || len(inherited) != 1 {
		t.Errorf("%d files of %d taken, %d left", len(files), len(kept), len(inherited))
	}
	s.Close()
	next := newStage(t)
	log := zerolog.Nop()
	next.Start(t.Context(), &log, nil, files, nil)
	defer next.Close()
	if p, ok := next.Get("k"); !ok || next.Epoch() != 1 {
		t.Errorf("the next master has not got the value: %v, epoch %d", p, next.Epoch())
	}
}

func ptr[T any](v T) *T { return &v }

// keep is a cache.Keep that holds duplicates.
type keep map[string]*os.File

func (k keep) Keep(name string, f *os.File) {
	if d, err := ipc.Duplicate(f); err == nil {
		k[name] = d
	}
}
func (k keep) Drop(name string) { delete(k, name) }
