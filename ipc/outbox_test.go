package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newOutbox(t testing.TB, c *Conn, opts OutboxOptions) *Outbox {
	o := NewOutbox(c, opts)
	t.Cleanup(func() { o.Close(); await(t, "end of the outbox", o.Done()) })
	return o
}

// fill makes the outbox's writer wait for its peer, so that what is sent afterwards stays in the queue. It returns how many
// messages the peer has to read first; the last one of them is the writer's.
func fill(t testing.TB, o *Outbox) (filled int) {
	t.Helper()
	frame, err := appendFrame(nil, Message{Topic: "fill", Payload: newPayload(t, pattern(1000, 0))})
	if err != nil {
		t.Fatal(err)
	}
	rc, err := o.conn.sock.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// So short a frame is taken whole or not at all.
	if err := rc.Control(func(fd uintptr) {
		for {
			n, err := unix.Write(int(fd), frame)
			if err == unix.EAGAIN {
				return
			}
			if err != nil || n != len(frame) {
				t.Errorf("wrote %d of %d bytes: %v", n, len(frame), err)
				return
			}
			filled++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := o.Send(Message{Topic: "fill"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the writer taking the frame", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.queued == 0 && o.flying == 1
	})
	return filled + 1
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatalf("%s did not happen within %s", what, patience)
		}
	}
}

func skip(t testing.TB, c *Conn, n int) {
	t.Helper()
	for range n {
		next[Message](t, c)
	}
}

func TestOutboxOrder(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{MaxFrames: 1 << 20})
	const n = 3000
	big := newPayload(t, pattern(HeapMax+1, 1))
	defer big.Release()
	sent := async(func() error {
		for i := range n {
			p := big.Retain()
			if i%100 != 0 {
				p.Release()
				p, _ = NewPayload([]byte("small"))
			}
			if err := o.Send(Call{ID: uint64(i), Method: "m", Payload: p}); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range n {
		c := next[Call](t, b)
		if c.ID != uint64(i) || c.Payload.large() != (i%100 == 0) {
			t.Fatalf("call %d came as number %d, %d bytes", c.ID, i, c.Payload.Len())
		}
		c.Payload.Release()
	}
	if err := await(t, "sending", sent); err != nil {
		t.Error(err)
	}
}

func TestOutboxFull(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{MaxFrames: 10, MaxBytes: 1000})
	filled := fill(t, o)
	for i := range 10 {
		if err := o.Send(Ack{Epoch: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	p := newPayload(t, pattern(1<<20, 1))
	err := o.Send(Ready{}, Message{Topic: "t", Payload: p})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "10 frames") {
		t.Errorf("11th frame: %v", err)
	}
	if got := panicOf(func() { p.Release() }); got == "" {
		t.Error("a refused payload was not taken over")
	}
	if err := o.SendValue(Set{Key: "k"}); err != nil {
		t.Errorf("a value was refused: %v", err)
	}
	skip(t, b, filled)
	for i := range 10 {
		if got := next[Ack](t, b); got.Epoch != uint64(i) {
			t.Errorf("ack %d came as number %d", got.Epoch, i)
		}
	}
	next[Set](t, b)

	waitFor(t, "writing", func() bool { return o.pending() == 0 })
	filled = fill(t, o)
	if err := o.Send(Message{Topic: "t", Payload: newPayload(t, make([]byte, 5000))}); err != nil {
		t.Errorf("one large call is taken whole: %v", err)
	}
	if err := o.Send(Ready{}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "5000 bytes") {
		t.Errorf("over MaxBytes: %v", err)
	}
	skip(t, b, filled+1)
}

func TestOutboxRefusesBadFrames(t *testing.T) {
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	if err := o.Send(Ready{}, Set{Key: ""}); err == nil {
		t.Error("took an empty key")
	}
	for _, f := range []Frame{Ready{}, Set{}, Set{Key: "k", ID: 1}, Delete{Key: "k", ID: 1}, nil} {
		if err := o.SendValue(f); err == nil {
			t.Errorf("took %#v as a value", f)
		}
	}
	if err := o.Send(Ack{Epoch: 5}); err != nil {
		t.Fatal(err)
	}
	if got := next[Ack](t, b); got.Epoch != 5 {
		t.Errorf("%#v", got)
	}
}

// TestUpdatesWhilePeerDoesNotRead is the case of the worker that stops reading: one value a key waits, the newest, in the order of epochs.
func TestUpdatesWhilePeerDoesNotRead(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	filled := fill(t, o)
	inFlight := o.pending()
	const keys, updates = 7, 10_000
	for e := 1; e <= updates; e++ {
		key := fmt.Sprint("key", e*e%keys)
		var err error
		if e%5 == 0 {
			err = o.SendValue(Delete{Epoch: uint64(e), Key: key})
		} else {
			err = o.SendValue(Set{Epoch: uint64(e), Key: key, Payload: text(t, fmt.Sprint(e))})
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := o.pending() - inFlight; n > keys {
			t.Fatalf("%d frames wait for %d keys", n, keys)
		}
	}
	newest := map[string]uint64{}
	for e := 1; e <= updates; e++ {
		newest[fmt.Sprint("key", e*e%keys)] = uint64(e)
	}
	if err := o.Send(Ready{}); err != nil {
		t.Fatal(err)
	}
	skip(t, b, filled)
	var last uint64
	for {
		f, err := b.Read()
		if err != nil {
			t.Fatal(err)
		}
		var key string
		var epoch uint64
		switch f := f.(type) {
		case Ready:
			if len(newest) > 0 {
				t.Errorf("never came: %v", newest)
			}
			return
		case Set:
			key, epoch = f.Key, f.Epoch
			if got := string(content(t, f.Payload)); got != fmt.Sprint(epoch) {
				t.Errorf("epoch %d has value %s", epoch, got)
			}
		case Delete:
			key, epoch = f.Key, f.Epoch
		}
		if epoch <= last || newest[key] != epoch {
			t.Errorf("%s came with epoch %d after %d, newest is %d", key, epoch, last, newest[key])
		}
		delete(newest, key)
		last = epoch
	}
}

// TestSnapshotIsNotCoalesced: Send promises each of its frames, also when a newer value of the same key follows.
func TestSnapshotIsNotCoalesced(t *testing.T) {
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{MaxFrames: 2})
	filled := fill(t, o)
	fs := []Frame{Snapshot{Epoch: 3, Count: 3}}
	for e := range 3 {
		fs = append(fs, Set{Epoch: uint64(e + 1), Key: fmt.Sprint(e)})
	}
	if err := errors.Join(o.Send(fs...), o.SendValue(Set{Epoch: 4, Key: "1"}), o.SendValue(Set{Epoch: 5, Key: "1"})); err != nil {
		t.Fatal(err)
	}
	skip(t, b, filled)
	next[Snapshot](t, b)
	for _, want := range []uint64{1, 2, 3, 5} {
		if s := next[Set](t, b); s.Epoch != want {
			t.Errorf("epoch %d, wanted %d", s.Epoch, want)
		}
	}
}

// TestLargeValuesUnread: descriptors in the socket's buffer keep their memory, so few of them may be there.
func TestLargeValuesUnread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell what is unread")
	}
	keepsFDs(t)
	a, b := channel(t)
	stuck := make(chan time.Duration, 10)
	o := newOutbox(t, a, OutboxOptions{Stuck: 20 * time.Millisecond, OnStuck: func(d time.Duration) { stuck <- d }})
	before := openFDs(t)
	for e := 1; e <= 50; e++ {
		if err := o.SendValue(Set{Epoch: uint64(e), Key: "big", Payload: newPayload(t, pattern(HeapMax+1, byte(e)))}); err != nil {
			t.Fatal(err)
		}
		if e <= maxLargeUnread {
			waitFor(t, "writing", func() bool { return o.pending() == 0 })
		}
	}
	await(t, "report of the stall", stuck)
	if n := openFDs(t) - before; n != 1 {
		t.Errorf("%d payloads are open, only the newest should wait", n)
	}
	for _, want := range []uint64{1, 2, 50} {
		s := next[Set](t, b)
		if s.Epoch != want || !bytes.Equal(content(t, s.Payload), pattern(HeapMax+1, byte(want))) {
			t.Errorf("epoch %d, wanted %d", s.Epoch, want)
		}
		s.Payload.Release()
	}
	if err := o.Send(Ready{}); err != nil {
		t.Fatal(err)
	}
	next[Ready](t, b)
	if len(stuck) > 0 {
		t.Error("one stall was reported more than once")
	}
}

func TestOutboxStuck(t *testing.T) {
	a, b := channel(t)
	stuck := make(chan time.Duration, 10)
	o := newOutbox(t, a, OutboxOptions{Stuck: 100 * time.Millisecond, OnStuck: func(d time.Duration) { stuck <- d }})
	for range 2 {
		waitFor(t, "writing", func() bool { return o.pending() == 0 })
		filled := fill(t, o)
		if d := await(t, "report of the stall", stuck); d < 100*time.Millisecond || d > patience {
			t.Errorf("reported a stall of %s", d)
		}
		skip(t, b, filled)
		for i := range 100 { // it goes on where it stopped
			if err := o.Send(Ack{Epoch: uint64(i)}); err != nil {
				t.Fatal(err)
			}
			if got := next[Ack](t, b); got.Epoch != uint64(i) {
				t.Errorf("ack %d came as %d", i, got.Epoch)
			}
		}
	}
	if len(stuck) > 0 {
		t.Error("one stall was reported more than once")
	}
}

// TestCloseWhileStuck: from outside, and from within the report.
func TestCloseWhileStuck(t *testing.T) {
	keepsFDs(t)
	for _, large := range []bool{false, true} {
		a, b := channel(t)
		var o *Outbox
		started := make(chan struct{})
		o = NewOutbox(a, OutboxOptions{Stuck: 10 * time.Millisecond, OnStuck: func(time.Duration) { <-started; o.Close() }})
		close(started)
		p := newPayload(t, pattern(HeapMax, 0))
		if large {
			p = newPayload(t, pattern(HeapMax+1, 0))
		}
		for range 20 {
			if err := o.Send(Message{Topic: "t", Payload: p.Retain()}); err != nil {
				break
			}
		}
		await(t, "end of the outbox", o.Done())
		o.Close()
		if err := o.Send(Ready{}); !errors.Is(err, ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		if err := o.SendValue(Set{Key: "k", Payload: text(t, "x")}); !errors.Is(err, ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		if o.Err() != nil || o.pending() != 0 {
			t.Errorf("after close: %v, %d pending", o.Err(), o.pending())
		}
		p.Release()
		if got := panicOf(func() { p.Retain() }); got == "" {
			t.Error("closing dropped frames without their payloads")
		}
		b.Close()
	}
}

func TestCloseAfterFlush(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	filled := fill(t, o)
	if err := o.Send(Ready{}, Bye{Cut: 1}); err != nil {
		t.Fatal(err)
	}
	o.CloseAfterFlush(patience)
	o.CloseAfterFlush(0) // the first one counts
	if err := o.Send(Ready{}); !errors.Is(err, ErrClosed) {
		t.Errorf("send after it: %v", err)
	}
	skip(t, b, filled)
	next[Ready](t, b)
	next[Bye](t, b)
	if _, err := b.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	await(t, "end of the outbox", o.Done())
	if o.Err() != nil {
		t.Error(o.Err())
	}
	if err := a.Write(Ready{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the channel is open: %v", err)
	}
}

func TestCloseAfterFlushIsBounded(t *testing.T) {
	keepsFDs(t)
	a, _ := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	fill(t, o)
	o.CloseAfterFlush(20 * time.Millisecond)
	await(t, "end of the outbox", o.Done())
	if err := o.Err(); err == nil || !strings.Contains(err.Error(), "within 20ms: 1 frames are left") {
		t.Error(err)
	}
}

// TestLostPeer: the writer ends, but what the peer said last can still be read.
func TestLostPeer(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	if err := b.Write(Bye{Cut: 4}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := o.Send(Ready{}); err != nil {
		t.Fatal(err)
	}
	await(t, "end of the outbox", o.Done())
	if o.Err() == nil || !errors.Is(o.Send(Ready{}), ErrClosed) {
		t.Errorf("after the peer's end: %v", o.Err())
	}
	if bye := next[Bye](t, a); bye.Cut != 4 {
		t.Errorf("%#v", bye)
	}
	if _, err := a.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	o.CloseAfterFlush(time.Second)
	if err := a.Write(Ready{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the channel is open: %v", err)
	}
}

// What waits when the channel breaks is given back, for the next one.
func TestOutboxKeepsWhatWaits(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := NewOutbox(a, OutboxOptions{Keep: true})
	b.Close()
	for o.Err() == nil { // the writer finds out with one of the first
		if err := o.Send(Message{Topic: "lost", Payload: text(t, "x")}); err != nil {
			break
		}
	}
	await(t, "end of the writer", o.Done())
	for _, f := range o.Take(patience) {
		if m, ok := f.(Message); !ok || m.Topic != "lost" {
			t.Errorf("kept %#v", f)
		}
		Discard(f)
	}
	if fs := o.Take(patience); len(fs) > 0 {
		t.Errorf("taken twice: %v", fs)
	}
	o.Close()
}

// Take lets the write that is under way end, and gives back all the rest in order.
func TestOutboxTake(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := NewOutbox(a, OutboxOptions{Keep: true, MaxFrames: 1 << 20, MaxBytes: 1 << 30})
	const n = 2000
	data := string(pattern(4<<10, 3))
	for i := range n {
		if err := o.Send(Call{ID: uint64(i + 1), Method: "m", Payload: text(t, data)}); err != nil {
			t.Fatal(err)
		}
	}
	written := async(func() (last uint64) {
		for {
			f, err := b.Read()
			if err != nil {
				return last
			}
			last = f.(Call).ID
			Discard(f)
		}
	})
	rest := o.Take(patience)
	o.Close()
	last := await(t, "what was written", written)
	for i, f := range rest {
		if id := f.(Call).ID; id != last+1+uint64(i) {
			t.Fatalf("frame %d of the rest is %d, written up to %d", i, id, last)
		}
		Discard(f)
	}
	if int(last)+len(rest) != n {
		t.Errorf("%d written, %d given back, want %d in all", last, len(rest), n)
	}
	if err := o.Send(Ready{}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
}
