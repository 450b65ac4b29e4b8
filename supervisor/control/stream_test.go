package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// followers is a fake's log that goes to any number of readers, each with a bounded
// queue as the Commander's contract has it: what does not fit is counted.
type followers struct {
	mu    sync.Mutex
	all   map[chan api.LogLine]*uint64
	ended atomic.Int64
	came  chan struct{} // one for each follower
}

func newFollowers() *followers {
	return &followers{all: map[chan api.LogLine]*uint64{}, came: make(chan struct{}, 1000)}
}

func (f *followers) logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	lines, missed := make(chan api.LogLine, 256), new(uint64)
	f.mu.Lock()
	f.all[lines] = missed
	f.mu.Unlock()
	f.came <- struct{}{}
	defer func() {
		f.mu.Lock()
		delete(f.all, lines)
		f.mu.Unlock()
		f.ended.Add(1)
		f.came <- struct{}{}
	}()
	for {
		select {
		case l := <-lines:
			f.mu.Lock()
			l.Missed, *missed = *missed, 0
			f.mu.Unlock()
			if q.Grep == "long" {
				l.Text = strings.Repeat("x", 32<<10)
			}
			if err := yield(l); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *followers) add(l api.LogLine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for lines, missed := range f.all {
		select {
		case lines <- l:
		default:
			*missed++
		}
	}
}

func TestClientGoesAway(t *testing.T) {
	f := &fake{more: make(chan api.Event), events: ids(1, 3)}
	followed := newFollowers()
	f.logs = followed.logs
	began := make(chan struct{})
	f.do = func(ctx context.Context, _ api.Order, progress func(api.Progress)) error {
		progress(api.Progress{State: "starting"})
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}
	s, _ := serve(t, f)

	// Each is cut by the client in the middle. That its goroutines end is what goleak
	// and the end of the server look at; that the master hears of it, is seen here.
	logs := rawConn(t, s.Path(), "GET /v1/logs?follow=1 HTTP/1.1\r\nHost: tine\r\n\r\n")
	within(t, followed.came)
	logs.Close()
	within(t, followed.came)
	if followed.ended.Load() != 1 {
		t.Error("the follower has not ended")
	}

	events := rawConn(t, s.Path(), "GET /v1/events?follow=1 HTTP/1.1\r\nHost: tine\r\n\r\n")
	if line, err := readUntil(events, "id: 3"); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	events.Close()

	order := rawConn(t, s.Path(), "POST /v1/apps/web/reload HTTP/1.1\r\nHost: tine\r\nAccept: application/x-ndjson\r\nContent-Length: 0\r\n\r\n")
	within(t, began)
	order.Close()
	waitForNone(t, s)
}

// waitForNone waits until no request is under way.
func waitForNone(t *testing.T, s *Server) {
	t.Helper()
	eventually.NoError(t, "no request is under way", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.underWay > 0 {
			return fmt.Errorf("%d requests are", s.underWay)
		}
		return nil
	})
}

func readUntil(r io.Reader, want string) (string, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), want) {
			return lines.Text(), nil
		}
	}
	return "", errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}

func TestEventsResume(t *testing.T) {
	f := &fake{events: ids(1, 5), more: make(chan api.Event)}
	s, _ := serve(t, f)
	for _, header := range []string{"Last-Event-ID: 3\r\n", ""} {
		query := ""
		if header == "" {
			query = "?after=3"
		}
		conn := rawConn(t, s.Path(), "GET /v1/events"+query+" HTTP/1.1\r\nHost: tine\r\nAccept: text/event-stream\r\n"+header+"\r\n")
		first, err := readUntil(conn, "id: ")
		if err != nil || first != "id: 4" {
			t.Errorf("resumed at %q, %v", first, err)
		}
		conn.Close()
	}
	if status, _, body := ask(t, s, "GET", "/v1/events", "", "Last-Event-ID", "x"); status != 400 {
		t.Errorf("%d %s", status, body)
	}
	// What comes while it follows, arrives at once, and its end is a good one. No stream of above may take it.
	f = &fake{events: ids(1, 5), more: make(chan api.Event)}
	_, c := serve(t, f)
	got := make(chan uint64, 10)
	done := make(chan error, 1)
	go func() {
		done <- c.Events(boundedContext(t), 5, true, func(e api.Event) error { got <- e.ID; return nil })
	}()
	for id := uint64(6); id < 9; id++ {
		f.more <- api.Event{ID: id}
		if came := within(t, got); came != id {
			t.Fatalf("event %d came for %d", came, id)
		}
	}
	close(f.more) // the master ends
	if err := within(t, done); err != nil {
		t.Fatal(err)
	}
	// What the reader's function says is what it gets.
	enough := errors.New("enough")
	if err := c.Events(boundedContext(t), 0, true, func(api.Event) error { return enough }); err != enough {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, c = serve(t, &fake{events: ids(1, 5), more: make(chan api.Event)})
	if err := c.Events(ctx, 0, true, func(api.Event) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestQuietStreamHasAHead(t *testing.T) {
	f := &fake{more: make(chan api.Event)}
	s, _ := serve(t, f)
	conn := rawConn(t, s.Path(), "GET /v1/events?follow=1 HTTP/1.1\r\nHost: tine\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(bound))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
}

// One of 100 does not read. It is cut and logged; the others get every line.
func TestFollowerThatDoesNotRead(t *testing.T) {
	const readers, lines = 100, 60
	f, followed := &fake{}, newFollowers()
	f.logs = followed.logs
	var log lockedBuffer
	s, _ := serve(t, f, func(o *Options) { o.WriteTimeout = 300 * time.Millisecond; o.Logger = zerolog.New(&log) })

	deaf := rawConn(t, s.Path(), "GET /v1/logs?follow=1&grep=long HTTP/1.1\r\nHost: tine\r\n\r\n")
	within(t, followed.came)
	read := make(chan int, readers)
	ctx, cancel := context.WithCancel(t.Context()) // each line has its own bound, not all of them together
	defer cancel()
	var wg sync.WaitGroup
	for range readers - 1 {
		wg.Go(func() {
			c := NewClient(s.Path())
			defer c.Close()
			err := c.Logs(ctx, api.LogQuery{Follow: true}, func(l api.LogLine) error {
				if l.Missed != 0 {
					return fmt.Errorf("%d lines missed at line %d", l.Missed, l.ID)
				}
				read <- int(l.ID)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a reader ended with %v", err)
			}
		})
	}
	for range readers - 1 {
		within(t, followed.came)
	}
	for id := 1; id <= lines; id++ {
		followed.add(api.LogLine{ID: uint64(id), Stream: api.StreamStdout, Text: "a line"})
		for range readers - 1 { // they keep up, however far behind the deaf one is
			if got := within(t, read); got != id {
				t.Fatalf("line %d came for line %d", got, id)
			}
		}
	}
	within(t, followed.came) // it is cut
	if n := followed.ended.Load(); n != 1 {
		t.Errorf("%d followers have ended, want 1", n)
	}
	data, _ := io.ReadAll(deaf)
	if len(data) > 3<<20 {
		t.Errorf("%d bytes waited for a reader that does not read", len(data))
	}
	eventually.True(t, "it is logged that a reader was cut", func() bool { return strings.Contains(log.String(), "a reader was cut") })
	cancel()
	wg.Wait()
}

// A client whose own reader is slow is cut, resumes where it was, and misses nothing
// that is still kept.
func TestSlowClientResumes(t *testing.T) {
	const lines = 300
	text := strings.Repeat("x", 16<<10)
	f := &fake{}
	calls := atomic.Int64{}
	cut := make(chan struct{}, 1)
	f.logs = func(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
		calls.Add(1)
		for id := q.After + 1; id <= lines; id++ {
			if err := yield(api.LogLine{ID: id, Text: text}); err != nil {
				signal(cut)
				return err
			}
		}
		return nil
	}
	_, c := serve(t, f, func(o *Options) { o.WriteTimeout = 100 * time.Millisecond })
	next := uint64(1)
	err := c.Logs(boundedContext(t), api.LogQuery{}, func(l api.LogLine) error {
		if l.ID != next {
			return fmt.Errorf("line %d came for line %d", l.ID, next)
		}
		if next == 1 {
			<-cut
		}
		next++
		return nil
	})
	if err != nil || next != lines+1 || calls.Load() < 2 {
		t.Fatalf("%v, next %d, %d calls", err, next, calls.Load())
	}
}

func TestLongLinesAndRubbish(t *testing.T) {
	f := &fake{}
	long := strings.Repeat("é", 1<<20)
	f.logs = func(_ context.Context, _ api.LogQuery, yield func(api.LogLine) error) error {
		for i, text := range []string{long, "\x00\x1b[31m\xff\xfe", "\u2028\r\n"} {
			if err := yield(api.LogLine{ID: uint64(i) + 1, Text: text}); err != nil {
				return err
			}
		}
		return nil
	}
	_, c := serve(t, f)
	var got []string
	if err := c.Logs(boundedContext(t), api.LogQuery{}, func(l api.LogLine) error { got = append(got, l.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0] != long || got[1] != "\x00\x1b[31m\uFFFD\uFFFD" || got[2] != "\u2028\r\n" {
		t.Errorf("%d lines, %q", len(got), got[1:])
	}
}

// A stream that breaks off is not taken for one that has ended.
func TestStreamThatBreaksOff(t *testing.T) {
	f := &fake{}
	f.logs = func(_ context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
		if q.After > 0 {
			return api.Refuse(http.StatusGone, "gone")
		}
		if err := yield(api.LogLine{ID: 1, Text: strings.Repeat("x", maxPending)}); err != nil {
			return err
		}
		if err := yield(api.LogLine{ID: 2}); err != nil {
			return err
		}
		return errors.New("the disk is on fire")
	}
	_, c := serve(t, f)
	var refusal *api.Refusal
	err := c.Logs(boundedContext(t), api.LogQuery{}, func(api.LogLine) error { return nil })
	if !errors.As(err, &refusal) || refusal.Status != http.StatusGone {
		t.Fatalf("%v", err)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	f := &fake{more: make(chan api.Event)}
	followed := newFollowers()
	f.logs = followed.logs
	ordered := make(chan struct{})
	f.do = func(ctx context.Context, _ api.Order, progress func(api.Progress)) error {
		close(ordered)
		for { // an order that is done while the server is closed is told so
			if followed.ended.Load() > 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	s, c := serve(t, f)
	ends := make(chan error, 3)
	go func() {
		ends <- c.Logs(boundedContext(t), api.LogQuery{Follow: true}, func(api.LogLine) error { return nil })
	}()
	go func() { ends <- c.Do(boundedContext(t), api.Order{Verb: api.VerbStop, App: "web"}, nil) }()
	within(t, followed.came)
	within(t, ordered)
	rawConn(t, s.Path(), "GET /v1/sta") // says half of what it wants
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > closeGrace {
		t.Errorf("Close took %s", took)
	}
	for range 2 {
		if err := within(t, ends); err != nil {
			t.Errorf("a request ended with %v", err)
		}
	}
	if _, err := c.Status(boundedContext(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// A master that answers nothing does not hold up the end for ever.
func TestCloseIsBounded(t *testing.T) {
	f, stuck := &fake{}, make(chan struct{})
	asked := make(chan struct{})
	f.status = func(context.Context) (api.Status, error) {
		close(asked)
		<-stuck
		return api.Status{}, nil
	}
	s := New(f, Options{Path: folder(t) + "/web.sock"})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served, answered := make(chan error, 1), make(chan struct{})
	go func() { served <- s.Serve() }()
	go func() {
		defer close(answered)
		c := NewClient(s.Path())
		defer c.Close()
		if _, err := c.Status(boundedContext(t)); err == nil {
			t.Error("an answer came")
		}
	}()
	within(t, asked)
	began := time.Now()
	if err := s.Close(); err == nil {
		t.Error("Close says nothing of a request that does not end")
	}
	if took := time.Since(began); took > closeGrace+3*closeForce+time.Second {
		t.Errorf("Close took %s", took)
	}
	within(t, answered)
	close(stuck)
	if err := within(t, served); err != nil {
		t.Error(err)
	}
	waitForNone(t, s)
}

// The end of tine may come before its answer.
func TestShutdownBeforeItsAnswer(t *testing.T) {
	f := &fake{}
	var s *Server
	f.do = func(ctx context.Context, _ api.Order, progress func(api.Progress)) error {
		progress(api.Progress{State: "stopping"})
		os.Remove(s.Path())
		<-ctx.Done()
		panic(http.ErrAbortHandler)
	}
	s, c := serve(t, f)
	first := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- c.Do(boundedContext(t), api.Order{Verb: api.VerbShutdown}, func(api.Progress) { first <- struct{}{} })
	}()
	within(t, first)
	s.cancelBase()
	if err := within(t, done); err != nil {
		t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func FuzzQuery(f *testing.F) {
	for _, r := range routes() {
		f.Add(r.path, "")
	}
	f.Add("/v1/logs", "app=web&slot=1&stream=stdout&last=-1&since=10m&grep=a%2Bb&follow&after=7")
	f.Add("/v1/logs", "since=2006-01-02T15:04:05.5Z&follow=0&slot=99999999999999999999&slot=1;%zz")
	f.Add("/v1/events", "after=18446744073709551615&last=-2&=&&")
	table := map[string]route{}
	for _, r := range routes() {
		if r.method == "GET" {
			table[r.path] = r
		}
	}
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, path, raw string) {
		r, ok := table[path]
		if !ok {
			return
		}
		q, err := parseQuery(r.params, raw, now)
		var refusal *api.Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Status != 400 || refusal.Detail == "") {
			t.Fatalf("%q: %v", raw, err)
		}
		if err != nil {
			return
		}
		for _, p := range r.params { // all that is accepted can be got
			switch p.kind {
			case paramInt:
				if n := q.integer(p.name); n != nil && *n < p.min {
					t.Fatalf("%q: %s is %d", raw, p.name, *n)
				}
			case paramID:
				q.id(p.name)
			case paramBool:
				q.bool(p.name)
			case paramTime:
				if at := q.time(p.name); at.After(now) && !strings.Contains(raw, "T") && !strings.Contains(raw, "%54") {
					t.Fatalf("%q: since %s", raw, at)
				}
			case paramText:
				q.text(p.name)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, body := range []string{``, ` `, `{}`, `{"n":4,"by":true}`, `{"slot":0,"reason":"x"}`, `{"n":1e9}`, `{"":0}`, `{"n":4,"n":4}`, "{\n\"\\u006e\":4}", `{"slot":null}`, `[`, `"`, `{"n":{"n":4}}`} {
		f.Add(body)
	}
	fields := []string{"slot", "n", "by", "signal", "now", "reason", "if_running"}
	f.Fuzz(func(t *testing.T, body string) {
		var o api.Order
		given, err := decodeBody([]byte(body), &o, fields)
		var refusal *api.Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Status != 400 || refusal.Line < 1 || refusal.Column < 1 ||
			refusal.Line > strings.Count(body, "\n")+1 || refusal.Column > len(body)+1) {
			t.Fatalf("%q: %v %+v", body, err, refusal)
		}
		if err == nil && o.N != 0 && !given["n"] {
			t.Fatalf("%q: n = %s was not said to be given", body, strconv.Itoa(o.N))
		}
	})
}

// TestLateRefusal has a master that is too busy to refuse at once: the refusal arrives
// as one, and not as a stream that breaks off.
func TestLateRefusal(t *testing.T) {
	late := 3 * headDelay
	f := &fake{}
	f.do = func(context.Context, api.Order, func(api.Progress)) error {
		<-time.After(late)
		return &api.Refusal{Status: http.StatusNotFound, Detail: "there is no app wbe", Suggestion: "web"}
	}
	_, c := serve(t, f)
	err := c.Do(boundedContext(t), api.Order{Verb: api.VerbReload, App: "wbe"}, nil)
	var refusal *api.Refusal
	if !errors.As(err, &refusal) || refusal.Suggestion != "web" {
		t.Errorf("got %v, want the refusal", err)
	}
}
