package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func deleted(epoch uint64, key string) ipc.Delete { return ipc.Delete{Epoch: epoch, Key: key} }

func TestWatchGivesPresentThenNewest(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 1})
	v := Cached[int](w, "n")
	seen := make(chan Change, 16)
	values := make(chan int, 16)
	gate := make(chan struct{})
	stop := w.Watch("n", func(c Change) {
		var n int
		if !c.Deleted && c.Decode(&n) != nil {
			n = -1
		}
		if got, _ := v.Get(); got < n {
			n = -2 // the Value lags behind
		}
		values <- n
		seen <- c
		<-gate
	})
	if n := eventually.Receive(t, "present value", values); n != 1 {
		t.Errorf("present value is %d", n)
	}
	// The callback is busy: of these only the newest waits.
	for i := 2; i <= 500; i++ {
		m.set(uint64(i), "n", i)
	}
	m.acked(500)
	close(gate)
	if n := eventually.Receive(t, "newest value", values); n != 500 {
		t.Errorf("next value is %d", n)
	}
	m.send(deleted(501, "n"))
	eventually.Receive(t, "", values)
	<-seen
	<-seen
	if c := eventually.Receive(t, "deletion", seen); !c.Deleted || c.Epoch != 501 || c.Key != "n" {
		t.Errorf("change is %+v", c)
	}
	stop()
	m.set(502, "n", 1)
	m.acked(502)
	if len(seen) != 0 {
		t.Error("called after stop")
	}
}

func TestBusyCallbackStallsNothingElse(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 1})
	v := Cached[int](w, "n")
	busy, gate := make(chan struct{}), make(chan struct{})
	got := make(chan string, 2*maxCallbacks)
	w.OnMessage(func(msg Message) {
		if msg.Topic == "block" {
			close(busy)
			<-gate
		}
		got <- msg.Topic
	})
	m.send(ipc.Message{Topic: "block"})
	eventually.Receive(t, "callback runs", busy)
	for i := range maxCallbacks + 10 {
		m.send(ipc.Message{Topic: fmt.Sprint(i), Payload: m.payload("x")})
	}
	for i := range maxCallbacks + 1 { // the messages have taken nothing of the calls' room
		m.send(ipc.Call{ID: uint64(i + 1), Method: "any"})
	}
	if r := expect[ipc.Reply](m); r.ID != maxCallbacks+1 || !strings.Contains(r.Error, "busy") {
		t.Errorf("reply is %+v", r)
	}
	m.set(2, "n", 2)
	m.acked(2)
	if n, _ := v.Get(); n != 2 {
		t.Errorf("n is %d", n)
	}
	close(gate)
	for i := range maxCallbacks + 1 {
		want := "block"
		if i > 0 {
			want = fmt.Sprint(i - 1)
		}
		if s := eventually.Receive(t, "messages in order", got); s != want {
			t.Fatalf("message %d is %s", i, s)
		}
	}
	eventually.True(t, "the loss is logged", func() bool { return strings.Contains(m.log.String(), "dropped=10") })
}

func TestCallBothWays(t *testing.T) {
	w, m := withMaster(t, nil)
	go func() {
		c := expect[ipc.Call](m)
		in, _ := c.Payload.Bytes()
		m.send(ipc.Reply{ID: c.ID, Payload: m.payload(string(in) + "!")})
		m.send(ipc.Reply{ID: expect[ipc.Call](m).ID, Error: "no such thing"})
	}()
	var out string
	if err := w.Call(t.Context(), "greet", "hi", &out); err != nil || out != "hi!" {
		t.Errorf("%q %v", out, err)
	}
	var remote *RemoteError
	if err := w.Call(t.Context(), "fail", nil, nil); !errors.As(err, &remote) || remote.Message != "no such thing" {
		t.Errorf("error is %v", err)
	}

	w.Handle("double", func(ctx context.Context, in []byte) (any, error) {
		if _, ok := ctx.Deadline(); !ok {
			return nil, errors.New("no deadline")
		}
		return append(in, in...), nil
	})
	m.send(ipc.Call{ID: 1, Method: "double", Timeout: time.Second, Payload: m.payload("ab")})
	r := expect[ipc.Reply](m)
	if b, _ := r.Payload.Bytes(); r.ID != 1 || string(b) != "abab" || r.Error != "" {
		t.Errorf("reply %+v %q", r, b)
	}
	m.send(ipc.Call{ID: 2, Method: "nothing"})
	if r := expect[ipc.Reply](m); r.ID != 2 || !strings.Contains(r.Error, `"nothing"`) {
		t.Errorf("reply is %+v", r)
	}
}

func TestCallIsBounded(t *testing.T) {
	w, m := withMaster(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Call(ctx, "never", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	c := expect[ipc.Call](m)
	m.send(ipc.Reply{ID: c.ID, Payload: m.payload("late")}) // no caller waits; it must be dropped
	go func() {
		c := expect[ipc.Call](m)
		m.send(ipc.Reply{ID: c.ID, Payload: m.payload(1)})
	}()
	var n int
	if err := w.Call(t.Context(), "one", nil, &n); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
}

func TestPublish(t *testing.T) {
	w, m := withMaster(t, nil)
	large := strings.Repeat("x", ipc.InlineMax+1)
	go func() {
		for epoch := uint64(1); epoch <= 2; epoch++ {
			s := expect[ipc.Set](m)
			if s.Epoch != 0 || s.Key != "k" || s.ID == 0 {
				m.t.Errorf("published %+v", s)
			}
			m.send(ipc.Reply{ID: s.ID, Payload: m.payload(fmt.Sprint(epoch))},
				ipc.Set{Epoch: epoch, Key: s.Key, ChangedAt: s.ChangedAt, Payload: s.Payload})
		}
		d := expect[ipc.Delete](m)
		m.send(ipc.Reply{ID: d.ID, Payload: m.payload("3")})
		m.send(ipc.Reply{ID: expect[ipc.Set](m).ID, Error: "read-only"})
	}()
	if e, err := w.Publish(t.Context(), "k", 5); e != 1 || err != nil {
		t.Errorf("%d %v", e, err)
	}
	if e, err := w.Publish(t.Context(), "k", large); e != 2 || err != nil {
		t.Errorf("%d %v", e, err)
	}
	m.acked(2)
	if s, _ := Cached[string](w, "k").Get(); s != large {
		t.Errorf("%d bytes came back", len(s))
	}
	if err := w.Unpublish(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	if _, err := w.Publish(t.Context(), "k", 6); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("error is %v", err)
	}
	if _, err := w.Publish(t.Context(), "", 6); err == nil {
		t.Error("the empty key was taken")
	}
}

func TestMasterGone(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 1})
	failed := make(chan error, 1)
	go func() { failed <- w.Call(t.Context(), "never", nil, nil) }()
	expect[ipc.Call](m)
	m.conn.Close()
	eventually.Receive(t, "orphaned", w.Orphaned())
	if err := eventually.Receive(t, "call fails", failed); !errors.Is(err, ErrOrphaned) {
		t.Errorf("error is %v", err)
	}
	if _, err := w.Publish(t.Context(), "n", 2); !errors.Is(err, ErrOrphaned) {
		t.Errorf("error is %v", err)
	}
	if err := w.Send("x", 1); !errors.Is(err, ErrOrphaned) {
		t.Errorf("error is %v", err)
	}
	if n, ok := Cached[int](w, "n").Get(); n != 1 || !ok {
		t.Error("the value is gone too")
	}
	if n := strings.Count(m.log.String(), "vanished"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	select {
	case <-w.Draining():
		t.Error("drains")
	default:
	}
}

func TestOrphanDrains(t *testing.T) {
	w, m := withMaster(t, nil, WithOrphanGrace(10*time.Millisecond, OrphanDrain))
	m.assign()
	if _, err := w.Listener(); err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	m.conn.Close()
	eventually.Receive(t, "drained", w.Done())
}
