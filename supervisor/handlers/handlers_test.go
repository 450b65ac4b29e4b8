package handlers

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/logs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a Handlers that runs, with its log.
type running struct {
	*Handlers
	log bytes.Buffer
	wg  sync.WaitGroup
}

func start(t *testing.T, f Functions) *running {
	t.Helper()
	h := &running{}
	l, err := logs.Open(config.Log{Format: "json"}, nil, &h.log, true)
	if err != nil {
		t.Fatal(err)
	}
	h.Handlers = New(f, l)
	h.Start(t.Context(), h.wg.Go)
	return h
}

// end closes the Handlers and returns the log.
func (h *running) end() string {
	h.Close()
	h.wg.Wait()
	h.logs.Close()
	return h.log.String()
}

func encoded(t *testing.T, v any) *ipc.Payload {
	t.Helper()
	p, err := cache.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCallTime(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, -1: 30 * time.Second, time.Millisecond: time.Millisecond, time.Hour: 10 * time.Minute,
	} {
		if got := callTime(asked); got != want {
			t.Errorf("%s gives %s, want %s", asked, got, want)
		}
	}
}

// TestPanics: a call whose handler panics gets an error, the message of an OnMessage that panics is lost, and the log has both stacks.
func TestPanics(t *testing.T) {
	got := make(chan string, 2)
	h := start(t, Functions{
		OnMessage: func(m Message) {
			if m.Topic == "bad" {
				panic("worse luck")
			}
			got <- m.Topic
		},
		OnCall: map[string]CallHandler{"m": func(context.Context, Caller, []byte) (any, error) { panic("no such luck") }},
	})
	answers := make(chan ipc.Reply, 1)
	var calls Calls
	if err := h.Call(&calls, Caller{App: "web"}, ipc.Call{ID: 7, Method: "m", Payload: encoded(t, "")}, func(r ipc.Reply) bool { answers <- r; return true }); err != nil {
		t.Fatal(err)
	}
	if r := eventually.Receive(t, "the answer", answers); r.ID != 7 || !strings.Contains(r.Error, "no such luck") {
		t.Errorf("answer %+v", r)
	}
	h.Message(Caller{}, ipc.Message{Topic: "bad", Payload: encoded(t, "")})
	h.Message(Caller{}, ipc.Message{Topic: "good", Payload: encoded(t, "")})
	if topic := eventually.Receive(t, "the second message", got); topic != "good" {
		t.Errorf("OnMessage got %q", topic)
	}
	log := h.end()
	for _, want := range []string{"no such luck", "worse luck", "handlers_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the log: %s", want, log)
		}
	}
}

// TestCallsAreBounded: 64 of one worker run, the next is refused, and there is room again when the loop has an answer. A worker has its
// own count.
func TestCallsAreBounded(t *testing.T) {
	next := make(chan struct{})
	h := start(t, Functions{OnCall: map[string]CallHandler{"m": func(_ context.Context, from Caller, in []byte) (any, error) {
		<-next
		return append(in, from.App...), nil
	}}})
	var calls, others Calls
	answers := make(chan ipc.Reply, maxCalls+2)
	call := func(c *Calls, method string) error {
		return h.Call(c, Caller{App: "web"}, ipc.Call{ID: 1, Method: method, Payload: encoded(t, "in ")}, func(r ipc.Reply) bool { answers <- r; return true })
	}
	if err := call(&calls, "none"); !errors.As(err, &UnknownMethodError{}) || err.Error() != `the master knows no method "none"` {
		t.Errorf("an unknown method: %v", err)
	}
	for n := range maxCalls {
		if err := call(&calls, "m"); err != nil {
			t.Fatalf("call %d: %v", n+1, err)
		}
	}
	busy := BusyError{}
	if err := call(&calls, "m"); !errors.As(err, &busy) || busy.Running != 64 || err.Error() != "64 calls of this worker are running already" {
		t.Errorf("one call more: %v", err)
	}
	if err := call(&others, "m"); err != nil {
		t.Errorf("another worker's call: %v", err)
	}
	close(next)
	for range maxCalls + 1 {
		r := eventually.Receive(t, "an answer", answers)
		if text, err := r.Payload.Bytes(); err != nil || string(text) != "in web" {
			t.Fatalf("answer %q, %v, %s", text, err, r.Error)
		}
		r.Payload.Release()
	}
	if err := call(&calls, "m"); !errors.As(err, &busy) {
		t.Errorf("a call before the loop has an answer: %v", err)
	}
	calls.Answered()
	if err := call(&calls, "m"); err != nil {
		t.Errorf("a call after an answer: %v", err)
	}
	eventually.Receive(t, "the last answer", answers).Payload.Release()
	h.end()
}

// TestCallEndsWithTheMaster: the handler's context ends, and an answer that the loop does not take holds nothing.
func TestCallEndsWithTheMaster(t *testing.T) {
	l, err := logs.Open(config.Log{Format: "json"}, nil, &bytes.Buffer{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	h := New(Functions{OnCall: map[string]CallHandler{"m": func(ctx context.Context, _ Caller, _ []byte) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}}, l)
	h.Start(ctx, wg.Go)
	var calls Calls
	posted := make(chan ipc.Reply, 1)
	if err := h.Call(&calls, Caller{}, ipc.Call{ID: 3, Method: "m", Timeout: time.Minute, Payload: encoded(t, "")}, func(r ipc.Reply) bool { posted <- r; return false }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if r := eventually.Receive(t, "the answer", posted); r.ID != 3 || r.Error != context.Canceled.Error() {
		t.Errorf("answer %+v", r)
	}
	h.Close()
	wg.Wait()
}

// TestSlowOnMessageDoesNotFloodTheLog, also when it takes one now and then.
func TestSlowOnMessageDoesNotFloodTheLog(t *testing.T) {
	next := make(chan struct{})
	h := start(t, Functions{OnMessage: func(Message) { <-next }})
	for i := range 10 * maxMessages {
		h.Message(Caller{}, ipc.Message{Topic: "t", Payload: encoded(t, "")})
		if i%2 == 0 { // so that half of them find no room
			next <- struct{}{}
		}
	}
	close(next)
	if log := h.end(); strings.Count(log, "\n") > 60 || !strings.Contains(log, "OnMessage is too slow") {
		t.Errorf("%d lines: %.1000s", strings.Count(log, "\n"), log)
	}
}

// TestLargeMessagesWaitBounded: by their bytes, but one of any size finds room alone. A message that was dropped or handed over holds
// nothing any more.
func TestLargeMessagesWaitBounded(t *testing.T) {
	entered, next := make(chan int), make(chan struct{})
	h := start(t, Functions{OnMessage: func(m Message) {
		entered <- len(m.Data)
		<-next
	}})
	send := func(n int) {
		p, err := ipc.NewPayload(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		h.Message(Caller{}, ipc.Message{Topic: "t", Payload: p})
	}
	m := &h.messages
	send(maxBytes + 1)
	if n := <-entered; n != maxBytes+1 {
		t.Errorf("OnMessage has got %d bytes", n)
	}
	send(1)
	if n := len(m.queue); n != 0 {
		t.Errorf("%d messages wait beside one that is too large for another", n)
	}
	next <- struct{}{}
	for m.bytes.Load() != 0 {
		runtime.Gosched() // until hand has returned
	}
	send(1)
	<-entered
	for range 100 {
		send(1 << 20)
	}
	if n := len(m.queue); n != maxBytes/fileCost-1 {
		t.Errorf("%d messages with descriptors wait", n)
	}
	go func() {
		for range entered {
		}
	}()
	close(next)
	h.end()
	close(entered)
	if n := m.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are counted at the end", n)
	}
}
