package book

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

func from(app string, slot int, stream string) *Origin {
	return &Origin{App: app, Slot: slot, Worker: uint64(slot + 1), PID: 100 + slot, Stream: stream}
}

// asked returns what a query finds, as app:text.
func asked(t *testing.T, b *Lines, q api.LogQuery) (all []string) {
	t.Helper()
	last := uint64(0)
	err := b.Query(t.Context(), q, func(l api.LogLine) error {
		if l.ID <= last {
			t.Errorf("id %d after %d", l.ID, last)
		}
		last = l.ID
		if l.Missed > 0 {
			all = append(all, fmt.Sprintf("%s:missed %d", l.App, l.Missed))
			return nil
		}
		all = append(all, l.App+":"+l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLinesQuery(t *testing.T) {
	b := NewLines()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for i, l := range []struct {
		from *Origin
		text string
	}{
		{&Origin{Slot: -1, Stream: api.StreamMaster}, "starting"}, // id 1
		{from("web", 0, api.StreamStdout), "GET /a"},
		{from("web", 1, api.StreamStdout), "GET /b"},
		{from("job", 0, api.StreamStdout), "tick"},
		{from("web", 1, api.StreamStderr), "oops\xff"},
		{&Origin{App: "web", Slot: 1, Stream: api.StreamMaster}, "exited"}, // id 6
		{from("web", 0, api.StreamStdout), "GET /c"},
		{from("job", 0, api.StreamStdout), ""},
	} {
		shelf := l.from.App
		if l.from.Stream == api.StreamMaster {
			shelf = ""
		}
		b.Shelf(shelf).Add(l.from, noon.Add(time.Duration(i)*time.Minute), NoLevel, []byte(l.text), false)
	}
	one := 1
	for _, c := range []struct {
		name string
		q    api.LogQuery
		want []string
	}{
		{"all", api.LogQuery{}, []string{":starting", "web:GET /a", "web:GET /b", "job:tick", "web:oops\uFFFD", "web:exited", "web:GET /c", "job:"}},
		{"an app, with what the master says of it", api.LogQuery{App: "web"}, []string{"web:GET /a", "web:GET /b", "web:oops\uFFFD", "web:exited", "web:GET /c"}},
		{"the last", api.LogQuery{Last: 3}, []string{"web:exited", "web:GET /c", "job:"}},
		{"the last of an app", api.LogQuery{App: "job", Last: 1}, []string{"job:"}},
		{"more than there are", api.LogQuery{App: "job", Last: 100}, []string{"job:tick", "job:"}},
		{"none", api.LogQuery{Last: -1}, nil},
		{"a slot", api.LogQuery{App: "web", Slot: &one}, []string{"web:GET /b", "web:oops\uFFFD", "web:exited"}},
		{"a stream", api.LogQuery{Stream: api.StreamStderr}, []string{"web:oops\uFFFD"}},
		{"the master", api.LogQuery{Stream: api.StreamMaster}, []string{":starting", "web:exited"}},
		{"since", api.LogQuery{Since: noon.Add(6 * time.Minute)}, []string{"web:GET /c", "job:"}},
		{"grep", api.LogQuery{Grep: "^GET /[bc]$"}, []string{"web:GET /b", "web:GET /c"}},
		{"the last that grep finds", api.LogQuery{Grep: "GET", Last: 2}, []string{"web:GET /b", "web:GET /c"}},
		{"grep finds nothing", api.LogQuery{Grep: "POST", Last: 2}, nil},
		{"after", api.LogQuery{After: 6}, []string{"web:GET /c", "job:"}},
		{"after, the last", api.LogQuery{After: 3, Last: 1}, []string{"job:"}},
		{"after the newest", api.LogQuery{After: 8}, nil},
		{"an id of an earlier master", api.LogQuery{After: 1000, App: "job"}, []string{"job:tick", "job:"}},
		{"an app that there is not", api.LogQuery{App: "db"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := asked(t, b, c.q); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("fields", func(t *testing.T) {
		_ = b.Query(t.Context(), api.LogQuery{Grep: "GET /b"}, func(l api.LogLine) error {
			if l.ID != 3 || !l.Time.Equal(noon.Add(2*time.Minute)) || l.App != "web" || l.Slot == nil || *l.Slot != 1 || l.Worker != 2 || l.PID != 101 || l.Stream != api.StreamStdout || l.Level != "" {
				t.Errorf("got %+v", l)
			}
			return nil
		})
	})
	t.Run("an expression that is none", func(t *testing.T) {
		var refused *api.Refusal
		if err := b.Query(t.Context(), api.LogQuery{Grep: "("}, nil); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("got %v", err)
		}
	})
	t.Run("yield's error", func(t *testing.T) {
		gone := errors.New("gone")
		n := 0
		if err := b.Query(t.Context(), api.LogQuery{}, func(api.LogLine) error { n++; return gone }); err != gone || n != 1 {
			t.Errorf("got %v after %d lines", err, n)
		}
	})
}

// Whatever comes, what is kept is the newest within the bounds.
func TestLinesKeepsTheNewest(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, step int
		lines      int
		kept       int
	}{
		{"short lines", 10, 0, 25_000, MaxLines},
		{"empty lines", 0, 0, 25_000, MaxLines},
		{"long lines", 64 << 10, 0, 100, 16},
		{"of all lengths", 0, 7, 3000, 0},
		{"too long a line", 2 << 20, 0, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewLines()
			s := b.Shelf("web")
			all := make([]string, c.lines)
			for i := range all {
				all[i] = strings.Repeat(string(rune('a'+i%26)), c.size+i*c.step%2000)
				s.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte(all[i]), false)
				all[i] = all[i][:min(len(all[i]), bookText)]
			}
			got := asked(t, b, api.LogQuery{})
			if c.kept != 0 && len(got) != c.kept {
				t.Errorf("kept %d lines, want %d", len(got), c.kept)
			}
			for i, l := range got {
				if want := "web:" + all[c.lines-len(got)+i]; l != want {
					t.Fatalf("line %d of %d is %.30q, want %.30q", i, len(got), l, want)
				}
			}
			if len(s.text) > bookText || len(s.lines) > MaxLines {
				t.Errorf("holds %d bytes and %d lines", len(s.text), len(s.lines))
			}
			if s.gone != uint64(c.lines-len(got)) {
				t.Errorf("line %d went last, want %d", s.gone, c.lines-len(got))
			}
		})
	}
}

func TestLinesForgets(t *testing.T) {
	b := NewLines()
	b.Shelf("web").Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("a"), false)
	b.Forget("web")
	if got := asked(t, b, api.LogQuery{}); got != nil {
		t.Errorf("got %q", got)
	}
}

// A reader that resumes at an id that is no longer kept is told how many lines it missed.
func TestLinesSaysWhatAResumingReaderMissed(t *testing.T) {
	b := NewLines()
	s := b.Shelf("web")
	for range MaxLines + 500 {
		s.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("x"), false)
	}
	got := asked(t, b, api.LogQuery{After: 100})
	if len(got) != MaxLines+1 || got[0] != "web:missed 400" {
		t.Errorf("%d lines, the first is %q", len(got), got[0])
	}
	if got := asked(t, b, api.LogQuery{After: 500}); len(got) != MaxLines || got[0] != "web:x" {
		t.Errorf("%d lines, the first is %q", len(got), got[0])
	}
}

// follower reads in a goroutine of its own until stop.
type follower struct {
	lines chan api.LogLine
	stop  func()
	err   chan error
}

func follow(t *testing.T, b *Lines, q api.LogQuery, room int) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{lines: make(chan api.LogLine, room), stop: cancel, err: make(chan error, 1)}
	q.Follow = true
	go func() {
		f.err <- b.Query(ctx, q, func(l api.LogLine) error {
			select {
			case f.lines <- l:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-f.err:
		case <-time.After(10 * time.Second):
			t.Error("a reader does not end with its context")
		}
	})
	return f
}

func (f *follower) next(t *testing.T) api.LogLine {
	t.Helper()
	select {
	case l := <-f.lines:
		return l
	case <-time.After(10 * time.Second):
		t.Fatal("no line")
		panic("unreachable")
	}
}

func TestLinesFollow(t *testing.T) {
	b := NewLines()
	web := b.Shelf("web")
	web.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("before"), false)
	f := follow(t, b, api.LogQuery{Last: 1}, 0)
	if l := f.next(t); l.Text != "before" {
		t.Fatalf("got %+v", l)
	}
	web.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("after"), false)
	if l := f.next(t); l.Text != "after" {
		t.Fatalf("got %+v", l)
	}
	// An app that comes later is followed too.
	b.Shelf("job").Add(from("job", 0, api.StreamStdout), time.Now(), NoLevel, []byte("new"), false)
	if l := f.next(t); l.Text != "new" || l.App != "job" {
		t.Fatalf("got %+v", l)
	}
	// The end of the book ends it, with what is left.
	web.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("last words"), false)
	b.Close()
	if l := f.next(t); l.Text != "last words" {
		t.Fatalf("got %+v", l)
	}
	select {
	case err := <-f.err:
		if err != nil {
			t.Error(err)
		}
		f.err <- nil
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the book does not end it")
	}
	if err := b.Query(t.Context(), api.LogQuery{Follow: true, Last: -1}, nil); err != nil {
		t.Error(err)
	}
}

// A hundred readers follow, and one does not read: no other waits for it, and it is told how many lines it missed.
func TestLinesSlowReader(t *testing.T) {
	b := NewLines()
	slow := follow(t, b, api.LogQuery{}, 0)
	var readers []*follower
	for range 99 {
		readers = append(readers, follow(t, b, api.LogQuery{Last: -1, Grep: "marked"}, 2000))
	}
	s := b.Shelf("web")
	// Each of them is known to follow once it has a line.
	looks := 0
	eventually.True(t, "all of a hundred readers follow", func() bool {
		if looks++; looks%10 == 0 && b.ids.Load() < 1900 { // each line goes to all of them, which have room for 2000
			s.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("marked, to begin"), false)
		}
		return !slices.ContainsFunc(readers, func(f *follower) bool { return len(f.lines) == 0 })
	})
	added := int(b.ids.Load())
	for range 3 * MaxLines {
		s.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("x"), false)
		added++
	}
	s.Add(from("web", 0, api.StreamStdout), time.Now(), NoLevel, []byte("the marked end"), false)
	added++
	for _, f := range readers {
		for {
			if l := f.next(t); l.Text == "the marked end" {
				break
			}
		}
	}
	got := 0
	for last := uint64(0); ; {
		l := slow.next(t)
		if l.ID <= last {
			t.Fatalf("id %d after %d", l.ID, last)
		}
		last = l.ID
		if l.Missed == 0 {
			got++
		} else {
			t.Logf("missed %d", l.Missed)
			got += int(l.Missed)
		}
		if l.Text == "the marked end" {
			break
		}
	}
	if got != added {
		t.Errorf("%d lines read or missed, %d were printed", got, added)
	}
}

// Many print at once while one reads: every line comes once, in the order of ids.
func TestLinesLosesNothingAmongManyWriters(t *testing.T) {
	b := NewLines()
	const writers, lines = 8, 1000
	f := follow(t, b, api.LogQuery{}, 0)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			app := fmt.Sprint("app", w%3)
			for i := range lines {
				b.Shelf(app).Add(from(app, w, api.StreamStdout), time.Now(), NoLevel, fmt.Appendf(nil, "%d", i), false)
			}
		})
	}
	next := map[int]int{}
	for id := uint64(1); id <= writers*lines; id++ {
		l := f.next(t)
		if l.ID != id || l.Missed != 0 || l.Text != fmt.Sprint(next[*l.Slot]) {
			t.Fatalf("got %+v, want id %d and text %d", l, id, next[*l.Slot])
		}
		next[*l.Slot]++
	}
	wg.Wait()
}

func TestMasterLine(t *testing.T) {
	for _, c := range []struct {
		in, text string
		want     Origin
	}{
		{`{"level":"info","app":"web","slot":2,"worker":7,"pid":42,"reason":"a \"b\" c","n":1.5,"listen":["x y"],"time":"…","message":"exited"}` + "\n",
			`exited reason="a \"b\" c" n=1.5 listen=["x y"]`, Origin{App: "web", Slot: 2, Worker: 7, PID: 42}},
		{`{"level":"warn","file":"/d.txt","goroutines":23,"dump":"goroutine 1 [running]:\nmain.main()\n","message":"goroutine dump"}`,
			`goroutine dump file=/d.txt goroutines=23 dump=(35 bytes, in the log)`, Origin{Slot: -1}},
		{`{"level":"warn","error":"why","message":"hm"}`, `hm error=why`, Origin{Slot: -1}},
		{"not JSON\n", "not JSON", Origin{Slot: -1}},
		{`{"a":`, `{"a":`, Origin{Slot: -1}},
	} {
		c.want.Stream = api.StreamMaster
		from, text := masterLine([]byte(c.in))
		if *from != c.want || string(text) != c.text {
			t.Errorf("%s: got %+v and %s", c.in, *from, text)
		}
	}
}

func BenchmarkLinesAdd(b *testing.B) {
	s := NewLines().Shelf("web")
	who, line := from("web", 0, api.StreamStdout), []byte(strings.Repeat("x", 100))
	for b.Loop() {
		s.Add(who, time.Now(), NoLevel, line, false)
	}
}
