package worker

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// patience bounds every wait of the tests.
func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// master is the other side, played by the test.
type master struct {
	t      *testing.T
	conn   *ipc.Conn
	frames chan ipc.Frame // what the worker sends, but acks and standbys
	acks   chan uint64
	waits  chan ipc.Standby
	ln     *net.TCPListener // the slot's socket, held open
	exits  chan int         // codes with which the worker wanted to end the process
	log    *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// withMaster runs a worker in this process, attached to a master that is the test. values are its snapshot.
func withMaster(t *testing.T, values map[string]any, opts ...Option) (*Worker, *master) {
	t.Helper()
	m := newMaster(t)
	type result struct {
		w   *Worker
		err error
	}
	started := make(chan result, 1)
	opts = append([]Option{
		WithLogger(slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		func(o *options) { o.exit = func(code int) { m.exits <- code } },
	}, opts...)
	go func() {
		w, err := Start(opts...)
		started <- result{w, err}
	}()
	h := expect[ipc.Hello](m)
	if h.Protocol != ipc.Protocol || h.PID != os.Getpid() || h.Library == "" {
		t.Fatalf("hello is %+v", h)
	}
	m.send(ipc.Hello{Protocol: ipc.Protocol, PID: 1, App: "web", Worker: 7, Generation: 3},
		ipc.Snapshot{Epoch: uint64(len(values)), Count: len(values)})
	epoch := uint64(0)
	for k, v := range values {
		epoch++
		m.set(epoch, k, v)
	}
	r := <-started
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.w.Close() })
	return r.w, m
}

func newMaster(t *testing.T) *master {
	t.Helper()
	parent, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd := duplicate(t, child)
	child.Close()
	t.Setenv(ipc.EnvChannel, strconv.Itoa(fd))
	m := &master{t: t, log: &logBuffer{}, exits: make(chan int, 4)}
	m.serve(parent)
	return m
}

// serve makes the test the master at the other end of conn.
func (m *master) serve(conn *ipc.Conn) {
	m.conn, m.frames, m.acks, m.waits = conn, make(chan ipc.Frame, 4096), make(chan uint64, 4096), make(chan ipc.Standby, 16)
	ended := make(chan struct{})
	frames, acks, waits := m.frames, m.acks, m.waits
	go func() {
		defer close(ended)
		defer close(frames)
		for {
			f, err := conn.Read()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case ipc.Ack:
				acks <- f.Epoch
			case ipc.Standby: // or not, when the assignment comes first
				waits <- f
			default:
				frames <- f
			}
		}
	}()
	m.t.Cleanup(func() {
		conn.Close()
		<-ended
		if m.ln != nil {
			m.ln.Close()
		}
	})
}

// duplicate returns a descriptor of its own for c, and leaves the flags of the description alone.
func duplicate(t *testing.T, c syscall.Conn) (fd int) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err == nil {
		cerr := rc.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
		err = errors.Join(err, cerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func (m *master) send(fs ...ipc.Frame) {
	m.t.Helper()
	for _, f := range fs {
		if err := m.conn.Write(f); err != nil {
			m.t.Fatalf("master cannot write %T: %v", f, err)
		}
		ipc.Discard(f)
	}
}

func (m *master) payload(v any) *ipc.Payload {
	m.t.Helper()
	p, err := payload(v)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *master) set(epoch uint64, key string, v any) {
	m.t.Helper()
	m.send(ipc.Set{Epoch: epoch, Key: key, ChangedAt: time.Now(), Payload: m.payload(v)})
}

// acked waits until the worker has made everything up to epoch visible.
func (m *master) acked(epoch uint64) {
	m.t.Helper()
	late := time.After(eventually.Patience())
	for {
		select {
		case e := <-m.acks:
			if e >= epoch {
				return
			}
		case <-late:
			m.t.Fatalf("epoch %d is not acknowledged", epoch)
		}
	}
}

// assign gives the worker slot 2 with one socket and returns its address.
func (m *master) assign() string {
	m.t.Helper()
	f := m.assignment()
	m.send(f)
	return f.Listeners[0].Address
}

// assignment is a slot with one TCP socket and without a board.
func (m *master) assignment() ipc.Assign {
	m.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.ln = ln.(*net.TCPListener)
	return ipc.Assign{
		Slot: 2, DrainDelay: 20 * time.Millisecond, DrainTimeout: eventually.Patience(),
		Listeners: []ipc.Listener{{Network: "tcp", Address: ln.Addr().String()}},
		Files:     []*os.File{os.NewFile(uintptr(duplicate(m.t, m.ln)), "slot")},
	}
}

// expect returns the next frame, which must be an F.
func expect[F ipc.Frame](m *master) F {
	m.t.Helper()
	select {
	case f, ok := <-m.frames:
		if !ok {
			m.t.Fatalf("the worker closed the channel instead of sending a %T", *new(F))
		}
		g, ok := f.(F)
		if !ok {
			m.t.Fatalf("the worker sent %T %+v instead of a %T", f, f, g)
		}
		return g
	case <-time.After(eventually.Patience()):
		m.t.Fatalf("the worker sent no %T", *new(F))
	}
	panic("unreachable")
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
