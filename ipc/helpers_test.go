package ipc

import (
	"bytes"
	"net"
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// channel returns both ends of a channel, which the test's end closes.
func channel(t testing.TB) (a, b *Conn) {
	t.Helper()
	a, child, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = newConn(child)
	child.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// rawChannel returns one end and the bare socket of the other, for peers that break the rules.
func rawChannel(t testing.TB) (*Conn, *net.UnixConn) {
	a, b := channel(t)
	return a, b.sock
}

// keepsFDs fails the test if it ends with more or fewer descriptors than it began. Call it first.
func keepsFDs(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	a, child, err := Pair() // starts the poller, which keeps descriptors of its own
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	child.Close()
	before := openFDs(t)
	t.Cleanup(func() {
		if after := openFDs(t); after != before {
			t.Errorf("%d descriptors are open, %d were before", after, before)
		}
	})
}

func openFDs(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func newPayload(t testing.TB, b []byte) *Payload {
	t.Helper()
	p, err := NewPayload(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func text(t testing.TB, s string) *Payload { return newPayload(t, []byte(s)) }

func content(t testing.TB, p *Payload) []byte {
	t.Helper()
	b, err := p.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pattern is n bytes that differ by position and by salt.
func pattern(n int, salt byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31>>3) ^ byte(i>>11) ^ salt
	}
	return b
}

// next reads one frame of type F.
func next[F Frame](t testing.TB, c *Conn) F {
	t.Helper()
	f, err := c.Read()
	if err != nil {
		t.Fatalf("cannot read %T: %v", *new(F), err)
	}
	got, ok := f.(F)
	if !ok {
		t.Fatalf("read %T, expected %T", f, *new(F))
	}
	return got
}

// async runs f and returns the channel of its result.
func async[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// sameFrame compares frames by what the wire carries: payloads by content, files by number.
func sameFrame(t testing.TB, a, b Frame) bool {
	t.Helper()
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	if p, q := payloadOf(a), payloadOf(b); p != nil || q != nil {
		var x, y []byte
		if p != nil {
			x = content(t, p)
		}
		if q != nil {
			y = content(t, q)
		}
		if !bytes.Equal(x, y) {
			return false
		}
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

func plain(f Frame) Frame {
	switch f := f.(type) {
	case Set:
		f.Payload, f.ChangedAt = nil, time.Unix(0, nanos(f.ChangedAt))
		return f
	case Message:
		f.Payload = nil
		return f
	case Call:
		f.Payload = nil
		return f
	case Reply:
		f.Payload = nil
		f.Error = clip(f.Error)
		return f
	case Assign:
		f.Files = make([]*os.File, len(f.Files))
		if f.Board = f.Hot != nil && f.Rows != nil; f.Board {
			f.Hot, f.Rows = nil, nil
		}
		return f
	}
	return f
}

// fixtures is one frame of each type without files.
func fixtures(t testing.TB) []Frame {
	at := time.Unix(1_700_000_000, 123_456_789)
	return []Frame{
		Hello{Protocol: 1, PID: 4711, Library: "tine-go/1", App: "web", Worker: 12, Generation: 3},
		Snapshot{Epoch: 1000, Count: 2},
		Assign{Slot: 3, Seat: 1, DrainDelay: time.Second, DrainTimeout: 30 * time.Second, Listeners: []Listener{}, Files: []*os.File{}},
		Ready{},
		Set{ID: 1, Epoch: 300, Key: "users", ChangedAt: at, Payload: text(t, "50")},
		Delete{ID: 2, Epoch: 301, Key: "users"},
		Ack{Epoch: 301},
		Message{Topic: "greeting", Payload: text(t, "Worker 4711")},
		Call{ID: 3, Method: "stats", Timeout: 1500 * time.Millisecond, Payload: text(t, `{"a":1}`)},
		Reply{ID: 3, Error: "no such method", Payload: text(t, "")},
		Drain{Reason: "rollout", Handover: true, Delay: time.Second, Timeout: 30 * time.Second},
		Bye{Reason: "rollout", Cut: 2},
		Standby{},
		Wake{},
		Inner{Address: "/run/tine/web.inner/web.3.sock"},
		Tickets{App: "web"},
	}
}
