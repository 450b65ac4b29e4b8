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

	"github.com/tinehq/tine/ipc/eventually"
)

func newOutbox(t testing.TB, c *Conn, opts OutboxOptions) *Outbox {
	o := NewOutbox(c, opts)
	t.Cleanup(func() { o.Close(); eventually.Receive(t, "end of the outbox", o.Done()) })
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
	eventually.True(t, "the writer taking the frame", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.queued == 0 && o.flying == 1
	})
	return filled + 1
}

// pending is the number of frames that have not been handed to the kernel.
func (o *Outbox) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued + o.flying
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
	if err := eventually.Receive(t, "sending", sent); err != nil {
		t.Error(err)
	}
}

// TestOutboxFull: each lane has its own room, and the others' frames go on, in the order in which they were sent.
func TestOutboxFull(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{MaxFrames: 10, MaxBytes: 1000})
	filled := fill(t, o)
	full := []Frame{Message{Topic: "t"}, Call{ID: 1, Method: "m"}, Reply{ID: 1}}
	for i := range 10 {
		for _, f := range full {
			if err := o.Send(f); err != nil {
				t.Fatalf("%T %d: %v", f, i, err)
			}
		}
	}
	for _, f := range full {
		p := newPayload(t, pattern(1<<20, 1))
		err := o.Send(Ready{}, f, Message{Topic: "t", Payload: p})
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "10 "+laneNames[laneOf(f)]) {
			t.Errorf("11th %T: %v", f, err)
		}
		if got := panicOf(func() { p.Release() }); got == "" {
			t.Error("a refused payload was not taken over")
		}
	}
	if err := o.SendValue(Set{Key: "k"}); err != nil {
		t.Errorf("a value was refused: %v", err)
	}
	if err := o.SendValues(NewValues(2, []Set{{Key: "k"}, {Key: "l"}})); err != nil {
		t.Errorf("a snapshot was refused: %v", err)
	}
	for i := range 20 {
		if err := o.Send(Drain{}, Ack{Epoch: uint64(i)}, Wake{}); err != nil {
			t.Errorf("order or state %d was refused: %v", i, err)
		}
	}
	skip(t, b, filled)
	for range 10 {
		next[Message](t, b)
		next[Call](t, b)
		next[Reply](t, b)
	}
	next[Set](t, b)
	next[Snapshot](t, b)
	next[Set](t, b)
	next[Set](t, b)
	for range 20 {
		next[Drain](t, b)
	}
	if got := next[Ack](t, b); got.Epoch != 19 {
		t.Errorf("ack %d came, the newest is 19", got.Epoch)
	}
	next[Wake](t, b)

	eventually.True(t, "writing", func() bool { return o.pending() == 0 })
	filled = fill(t, o)
	if err := o.Send(Message{Topic: "t", Payload: newPayload(t, make([]byte, 5000))}); err != nil {
		t.Errorf("one large call is taken whole: %v", err)
	}
	if err := o.Send(Message{Topic: "t"}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "5000 bytes") {
		t.Errorf("over MaxBytes: %v", err)
	}
	skip(t, b, filled+1)
}

// TestOrdersAreBounded: far above what there ever is.
func TestOrdersAreBounded(t *testing.T) {
	a, _ := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	fill(t, o)
	for i := range maxOrders {
		if err := o.Send(Drain{}); err != nil {
			t.Fatalf("order %d: %v", i, err)
		}
	}
	if err := o.Send(Drain{}); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
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

// TestSnapshot: as many values as are possible are one entry, all come, and what is sent behind them comes behind them.
func TestSnapshot(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	o := newOutbox(t, a, OutboxOptions{})
	filled := fill(t, o)
	inFlight := o.pending()
	const n = 10_000
	sets := make([]Set, n)
	for i := range sets {
		sets[i] = Set{Epoch: uint64(i + 1), Key: fmt.Sprint(i), Payload: newPayload(t, pattern(1+i%300, byte(i)))}
	}
	sets[n/2].Payload.Release()
	sets[n/2].Payload = newPayload(t, pattern(HeapMax+1, 7))
	v := NewValues(n, sets)
	p := sets[0].Payload
	if err := errors.Join(
		o.SendValues(v.Retain()),
		o.Send(Drain{}),
		o.SendValue(Set{Epoch: n + 1, Key: "1"}), o.SendValue(Set{Epoch: n + 2, Key: "1"}),
	); err != nil {
		t.Fatal(err)
	}
	if got := o.pending() - inFlight; got != 3 {
		t.Errorf("%d entries wait, wanted the snapshot, the order and the newest change", got)
	}
	skip(t, b, filled)
	if s := next[Snapshot](t, b); s.Epoch != n || s.Count != n {
		t.Errorf("%+v", s)
	}
	for i := range n {
		s := next[Set](t, b)
		want := pattern(1+i%300, byte(i))
		if i == n/2 {
			want = pattern(HeapMax+1, 7)
		}
		if s.Epoch != uint64(i+1) || s.Key != fmt.Sprint(i) || !bytes.Equal(content(t, s.Payload), want) {
			t.Fatalf("value %d came as %s of epoch %d", i, s.Key, s.Epoch)
		}
		Discard(s)
	}
	next[Drain](t, b)
	if s := next[Set](t, b); s.Epoch != n+2 {
		t.Errorf("epoch %d, wanted %d", s.Epoch, n+2)
	}
	eventually.True(t, "writing", func() bool { return o.pending() == 0 })
	v.Release()
	if got := panicOf(func() { p.Retain() }); got == "" {
		t.Error("a payload outlives the values")
	}
}

// TestSnapshotIsGivenUp in the middle: nothing of it is kept, or leaks.
func TestSnapshotIsGivenUp(t *testing.T) {
	keepsFDs(t)
	for name, end := range map[string]func(*Outbox) []Frame{
		"closed": func(o *Outbox) []Frame { o.Close(); return nil },
		"taken":  func(o *Outbox) []Frame { defer o.Close(); return o.Take(0) },
	} {
		a, b := channel(t)
		o := newOutbox(t, a, OutboxOptions{Keep: true})
		var sets []Set
		for i := range 1000 {
			sets = append(sets, Set{Epoch: uint64(i + 1), Key: fmt.Sprint(i), Payload: newPayload(t, pattern(10_000, 0))})
		}
		p := sets[0].Payload
		if err := errors.Join(o.SendValues(NewValues(1000, sets)), o.Send(Bye{Cut: 7})); err != nil {
			t.Fatal(err)
		}
		next[Snapshot](t, b)
		left := end(o)
		eventually.Receive(t, "end of the outbox", o.Done())
		if name == "taken" && (len(left) != 1 || left[0] != Frame(Bye{Cut: 7})) {
			t.Errorf("%s: %v is left", name, left)
		}
		if got := panicOf(func() { p.Retain() }); got == "" {
			t.Errorf("%s: a payload outlives the snapshot", name)
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
			eventually.True(t, "writing", func() bool { return o.pending() == 0 })
		}
	}
	eventually.Receive(t, "report of the stall", stuck)
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
		eventually.True(t, "writing", func() bool { return o.pending() == 0 })
		filled := fill(t, o)
		if d := eventually.Receive(t, "report of the stall", stuck); d < 100*time.Millisecond || d > eventually.Patience() {
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
		eventually.Receive(t, "end of the outbox", o.Done())
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
	o.CloseAfterFlush(eventually.Patience())
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
	eventually.Receive(t, "end of the outbox", o.Done())
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
	eventually.Receive(t, "end of the outbox", o.Done())
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
	eventually.Receive(t, "end of the outbox", o.Done())
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
	eventually.Receive(t, "end of the writer", o.Done())
	for _, f := range o.Take(eventually.Patience()) {
		if m, ok := f.(Message); !ok || m.Topic != "lost" {
			t.Errorf("kept %#v", f)
		}
		Discard(f)
	}
	if fs := o.Take(eventually.Patience()); len(fs) > 0 {
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
	rest := o.Take(eventually.Patience())
	o.Close()
	last := eventually.Receive(t, "what was written", written)
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
