package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// withLifeline is withMaster for a worker that has a lifeline too.
func withLifeline(t *testing.T, values map[string]any, opts ...Option) (*Worker, *master, *ipc.Lifeline) {
	t.Helper()
	l, child, err := ipc.NewLifeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv(ipc.EnvLifeline, strconv.Itoa(duplicate(t, child)))
	child.Close()
	w, m := withMaster(t, values, opts...)
	return w, m, l
}

// succeed is the next master. It answers what the worker says of itself.
func (m *master) succeed(l *ipc.Lifeline) (*master, ipc.Hello) {
	m.t.Helper()
	conn, err := l.Renew()
	if err != nil {
		m.t.Fatal(err)
	}
	next := &master{t: m.t, log: m.log, exits: m.exits}
	next.serve(conn)
	return next, expect[ipc.Hello](next)
}

// introduce is the answer to the hello, with these values, each of which has the epoch given.
func (m *master) introduce(epoch uint64, values ...ipc.Set) {
	m.t.Helper()
	m.send(ipc.Hello{Protocol: ipc.Protocol, PID: 2, App: "web", Worker: 7, Generation: 3}, ipc.Snapshot{Epoch: epoch, Count: len(values)})
	for _, v := range values {
		m.send(v)
	}
}

func (m *master) value(epoch uint64, key string, v any) ipc.Set {
	return ipc.Set{Epoch: epoch, Key: key, ChangedAt: time.Now(), Payload: m.payload(v)}
}

func TestNextMasterHearsWhatTheWorkerIs(t *testing.T) {
	w, m, l := withLifeline(t, map[string]any{"n": 1})
	step := func(want ipc.Hello) {
		t.Helper()
		var h ipc.Hello
		m, h = m.succeed(l)
		h.Protocol, h.PID, h.Library, h.App, h.Worker, h.Generation = 0, 0, "", "", 0, 0
		if h != want {
			t.Fatalf("hello is %+v, want %+v", h, want)
		}
		m.introduce(1, m.value(1, "n", 1))
	}
	m.acked(1)
	m.conn.Close()
	step(ipc.Hello{State: ipc.StateStarting, Epoch: 1})

	listening := make(chan error, 1)
	go func() {
		_, err := w.Listeners()
		listening <- err
	}()
	eventually.Receive(t, "standby", m.waits)
	m.conn.Close()
	step(ipc.Hello{State: ipc.StateStandby, Epoch: 1})

	f := m.assignment()
	f.Seat = 1
	m.send(f)
	if err := eventually.Receive(t, "listeners", listening); err != nil {
		t.Fatal(err)
	}
	m.conn.Close()
	step(ipc.Hello{State: ipc.StateAssigned, Slot: 2, Seat: 1, Epoch: 1})

	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	m.conn.Close()
	step(ipc.Hello{State: ipc.StateReady, Slot: 2, Seat: 1, Epoch: 1})

	held := make(chan struct{})
	w.OnDrain(func(context.Context) { <-held })
	m.send(ipc.Drain{Reason: "test", Handover: true, Timeout: eventually.Patience()})
	eventually.Receive(t, "drain", w.Draining())
	m.conn.Close()
	step(ipc.Hello{State: ipc.StateDraining, Slot: 2, Seat: 1, Epoch: 1})
	close(held)
	expect[ipc.Bye](m)
	select {
	case <-w.Orphaned():
		t.Error("orphaned, though there was always another master")
	default:
	}
}

// Values that are the same stay as they are; the rest becomes what the next master has.
func TestNextMastersValues(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	m.set(1, "same", "a")
	m.set(2, "changed", "a")
	m.set(3, "gone", "a")
	m.acked(3)
	changes := make(chan string, 16)
	for _, key := range []string{"same", "changed", "gone", "new"} {
		w.Watch(key, func(c Change) {
			var v string
			if !c.Deleted {
				if err := c.Decode(&v); err != nil {
					v = err.Error()
				}
			}
			changes <- fmt.Sprintf("%s=%s@%d", c.Key, v, c.Epoch)
		})
	}
	for range 3 {
		eventually.Receive(t, "present values", changes)
	}
	m.conn.Close()
	m, _ = m.succeed(l)
	m.introduce(9, m.value(1, "same", "a"), m.value(8, "changed", "b"), m.value(9, "new", "c"))
	m.acked(9)
	got := map[string]bool{}
	for range 3 {
		got[eventually.Receive(t, "changes", changes)] = true
	}
	m.set(10, "same", "z")
	if c := eventually.Receive(t, "change", changes); c != "same=z@10" || !got["changed=b@8"] || !got["new=c@9"] || !got["gone=@9"] {
		t.Errorf("changes are %v, then %s", got, c)
	}
}

// A master that begins to count anew, since it could not read the old one's record, is believed.
func TestNextMasterCountsAnew(t *testing.T) {
	w, m, l := withLifeline(t, map[string]any{"n": 1})
	for i := uint64(2); i < 100; i++ {
		m.set(i, "n", i)
	}
	m.acked(99)
	m.conn.Close()
	m, _ = m.succeed(l)
	m.introduce(1, m.value(1, "n", 7))
	m.acked(1)
	if n, ok := Cached[int](w, "n").Get(); n != 7 || !ok {
		t.Errorf("value is %d, %v", n, ok)
	}
	m.set(2, "n", 8)
	m.acked(2)
}

func TestPublishSurvivesTheMaster(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	type result struct {
		epoch uint64
		err   error
	}
	published := make(chan result, 1)
	go func() {
		epoch, err := w.Publish(context.Background(), "k", "v")
		published <- result{epoch, err}
	}()
	first := expect[ipc.Set](m) // and the master dies before it answers
	m.conn.Close()
	m, _ = m.succeed(l)
	again := expect[ipc.Set](m)
	if again.ID != first.ID || again.Key != "k" || !again.Payload.Equal(first.Payload) {
		t.Errorf("asked again for %+v, at first for %+v", again, first)
	}
	ipc.Discard(first)
	ipc.Discard(again)
	m.introduce(0)
	m.send(ipc.Reply{ID: again.ID, Payload: m.payload(17)})
	if r := eventually.Receive(t, "publish", published); r.err != nil || r.epoch != 17 {
		t.Errorf("%+v", r)
	}
}

// A call may have been carried out, so that it is not made twice; one that was not sent yet is.
func TestCallsOverAMaster(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	results := make(chan error, 2)
	ask := func(method string) {
		go func() {
			var s string
			err := w.Call(context.Background(), method, "in", &s)
			if err == nil && s != "out" {
				err = fmt.Errorf("answer %q", s)
			}
			results <- err
		}()
	}
	ask("lost")
	ipc.Discard(expect[ipc.Call](m))
	m.conn.Close()
	eventually.True(t, "the loss is noticed", func() bool {
		w.mail.mu.Lock()
		defer w.mail.mu.Unlock()
		return w.mail.box == nil
	})
	ask("waits")
	eventually.True(t, "the call waits", func() bool {
		w.mail.mu.Lock()
		defer w.mail.mu.Unlock()
		return len(w.mail.waiting) == 1
	})
	m, _ = m.succeed(l)
	m.introduce(0)
	if err := eventually.Receive(t, "lost call", results); !errors.Is(err, ErrMasterReplaced) {
		t.Errorf("%v, want %v", err, ErrMasterReplaced)
	}
	c := expect[ipc.Call](m)
	if c.Method != "waits" {
		t.Errorf("called %q", c.Method)
	}
	ipc.Discard(c)
	m.send(ipc.Reply{ID: c.ID, Payload: m.payload("out")})
	if err := eventually.Receive(t, "call", results); err != nil {
		t.Error(err)
	}
}

// What a master has asked is answered to no other master, whose own question may have the same number.
func TestReplyGoesToWhoAsked(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	begun, finish := make(chan string, 2), make(chan struct{})
	w.Handle("slow", func(_ context.Context, in []byte) (any, error) {
		begun <- string(in)
		<-finish
		return string(in), nil
	})
	m.send(ipc.Call{ID: 1, Method: "slow", Payload: m.payload("old")})
	eventually.Receive(t, "old call", begun)
	m.conn.Close()
	m, _ = m.succeed(l)
	m.introduce(0)
	m.send(ipc.Call{ID: 1, Method: "slow", Payload: m.payload("new")})
	eventually.Receive(t, "new call", begun)
	close(finish)
	r := expect[ipc.Reply](m)
	defer ipc.Discard(r)
	if b, err := r.Payload.Bytes(); err != nil || string(b) != "new" {
		t.Errorf("answer %q, %v", b, err)
	}
	m.send(ipc.Call{ID: 2, Method: "slow", Payload: m.payload("last")})
	if r := expect[ipc.Reply](m); r.ID != 2 {
		t.Errorf("a reply to %d came between", r.ID)
	}
}

// Messages that are sent while there is no master reach the next one, all and in order, and are bounded.
func TestMessagesWaitForTheNextMaster(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	m.conn.Close()
	eventually.True(t, "the loss is noticed", func() bool {
		w.mail.mu.Lock()
		defer w.mail.mu.Unlock()
		return w.mail.box == nil
	})
	sent := 0
	for ; ; sent++ {
		if err := w.Send("t", sent); err != nil {
			if !errors.Is(err, ipc.ErrFull) || sent != 1024 {
				t.Errorf("message %d: %v", sent, err)
			}
			break
		}
	}
	// What the master must be told has a room of its own.
	if err := w.send(ipc.Ready{}, ipc.Call{ID: 1, Method: "m", Timeout: time.Minute}); err != nil {
		t.Error(err)
	}
	m, _ = m.succeed(l)
	m.introduce(0)
	defer func() {
		expect[ipc.Ready](m)
		ipc.Discard(expect[ipc.Call](m))
	}()
	for i := range sent {
		f := expect[ipc.Message](m)
		if b, err := f.Payload.Bytes(); err != nil || string(b) != strconv.Itoa(i) {
			t.Fatalf("message %d is %q, %v", i, b, err)
		}
		ipc.Discard(f)
	}
}

// A master that leaves in order closes its way to the worker and reads on: nothing that the worker said is lost.
func TestMessagesReachAMasterThatLeaves(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	stop := make(chan struct{})
	sent := make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent <- i
				return
			default:
			}
			for w.Send("t", i) != nil { // full: the masters read when they can
				runtime.Gosched()
			}
		}
	}()
	next := 0
	read := func(m *master, n int) {
		t.Helper()
		for ; n != 0; n-- {
			var f ipc.Frame
			var ok bool
			select {
			case f, ok = <-m.frames:
			case <-time.After(eventually.Patience()):
				t.Fatal("no message")
			}
			if !ok {
				return
			}
			b, err := f.(ipc.Message).Payload.Bytes()
			if err != nil || string(b) != strconv.Itoa(next) {
				t.Fatalf("message %d is %q, %v", next, b, err)
			}
			next++
			ipc.Discard(f)
		}
	}
	for range 5 {
		read(m, 100)
		if err := m.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		read(m, -1) // to the end
		m, _ = m.succeed(l)
		m.introduce(0)
	}
	close(stop)
	n := eventually.Receive(t, "sender", sent)
	read(m, n-next)
}

// A frame that the dying master wrote in part is dropped.
func TestMasterDiesInMidFrame(t *testing.T) {
	w, m, l := withLifeline(t, map[string]any{"n": 1})
	m.acked(1)
	m.conn.Close()
	hello := m.bytes(ipc.Hello{Protocol: ipc.Protocol, PID: 2, App: "web", Worker: 7})
	set := m.bytes(m.value(2, "n", strings.Repeat("x", 1000)))
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(duplicate(t, l.File()), []byte{0}, unix.UnixRights(fds[1]), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	if _, err := unix.Write(fds[0], append(hello, set[:300]...)); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[0])
	m, h := m.succeed(l)
	if h.State != ipc.StateStarting || h.Epoch != 1 {
		t.Errorf("%+v", h)
	}
	m.introduce(2, m.value(2, "n", 2))
	m.acked(2)
	if n, _ := Cached[int](w, "n").Get(); n != 2 {
		t.Errorf("value is %d", n)
	}
}

// bytes is a frame as it is on the wire.
func (m *master) bytes(f ipc.Frame) []byte {
	m.t.Helper()
	defer ipc.Discard(f)
	a, child, err := ipc.Pair()
	if err != nil {
		m.t.Fatal(err)
	}
	defer child.Close()
	err = a.Write(f)
	a.Close()
	if err != nil {
		m.t.Fatal(err)
	}
	b, err := io.ReadAll(child)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// A master that hangs is replaced while its channel is open.
func TestMasterIsReplacedWhileItHangs(t *testing.T) {
	_, m, l := withLifeline(t, nil)
	for range 3 {
		old := m
		m, _ = m.succeed(l)
		m.introduce(0)
		for f := range old.frames { // to its end
			ipc.Discard(f)
		}
	}
}

// The reason why a worker goes is kept for the next master, who would otherwise take it for finished.
func TestByeWaitsForTheNextMaster(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	m.conn.Close()
	eventually.True(t, "the loss is noticed", func() bool {
		w.mail.mu.Lock()
		defer w.mail.mu.Unlock()
		return w.mail.box == nil
	})
	w.drain.begin(w, drainOrder{reason: "asked to", handover: true, timeout: eventually.Patience()})
	eventually.Receive(t, "drain", w.Draining())
	m, _ = m.succeed(l)
	if b := expect[ipc.Bye](m); b.Reason != "asked to" {
		t.Errorf("%+v", b)
	}
	eventually.Receive(t, "end", w.Done())
}

// Without anybody at the other end of the lifeline the worker is an orphan.
func TestLastMaster(t *testing.T) {
	w, m, l := withLifeline(t, nil)
	m.conn.Close()
	l.Close()
	eventually.Receive(t, "orphaned", w.Orphaned())
	if err := w.Send("t", 1); !errors.Is(err, ErrOrphaned) {
		t.Errorf("%v, want %v", err, ErrOrphaned)
	}
}

// A master that is killed in the middle of the handshake is followed by one that completes it.
func TestMasterDiesInTheHandshake(t *testing.T) {
	for name, before := range map[string]func(m *master){
		"before its hello": func(*master) {},
		"after its hello": func(m *master) {
			m.send(ipc.Hello{Protocol: ipc.Protocol, PID: 1, App: "web", Worker: 7, Generation: 3})
		},
		"within the snapshot": func(m *master) {
			m.send(ipc.Hello{Protocol: ipc.Protocol, PID: 1, App: "web", Worker: 7, Generation: 3}, ipc.Snapshot{Epoch: 5, Count: 2}, m.value(1, "a", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, child, err := ipc.NewLifeline()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			t.Setenv(ipc.EnvLifeline, strconv.Itoa(duplicate(t, child)))
			child.Close()
			m := newMaster(t)
			started := make(chan *Worker, 1)
			go func() {
				w, err := Start(WithLogger(quiet()))
				if err != nil {
					t.Error(err)
				}
				started <- w
			}()
			expect[ipc.Hello](m)
			before(m)
			m.conn.Close()
			m, h := m.succeed(l)
			if h.State != ipc.StateStarting {
				t.Errorf("%+v", h)
			}
			m.introduce(2, m.value(2, "b", 2))
			w := eventually.Receive(t, "start", started)
			if w == nil {
				t.FailNow()
			}
			defer w.Close()
			if w.ID() != 7 || w.App() != "web" || w.Generation() != 3 {
				t.Errorf("it is %d of %q, generation %d", w.ID(), w.App(), w.Generation())
			}
			if _, ok := Cached[int](w, "a").Get(); ok {
				t.Error("a value of the dead master is there")
			}
			if n, _ := Cached[int](w, "b").Get(); n != 2 {
				t.Errorf("value is %d", n)
			}
		})
	}
}
