package worker

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// dumped asks for a dump and returns it.
func (m *master) dumped(id uint64) string {
	m.t.Helper()
	m.send(ipc.Call{ID: id, Method: "tine.dump", Timeout: eventually.Patience()})
	r := expect[ipc.Reply](m)
	defer ipc.Discard(r)
	if r.ID != id || r.Error != "" {
		m.t.Fatalf("reply %d: %s", r.ID, r.Error)
	}
	b, err := copied(r.Payload)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// TestDumpWhenEverythingBlocks: callbacks of every kind and a handler wait for ever, and still it is told where.
func TestDumpWhenEverythingBlocks(t *testing.T) {
	w, m := withMaster(t, nil)
	addr := m.assign()
	out := make(chan struct{})
	var blocked atomic.Int32
	w.OnMessage(func(Message) { waitForEver(&blocked, out) })
	w.Handle("tine.dump", func(context.Context, []byte) (any, error) { return "mine", nil }) // is never asked
	ret := make(chan error, 1)
	go func() {
		ret <- w.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { waitForEver(&blocked, out) }))
	}()
	expect[ipc.Ready](m)
	m.send(ipc.Message{Topic: "x"})
	for i := range maxCallbacks + 1 { // no callback can be queued any more
		m.send(ipc.Call{ID: uint64(i + 1), Method: "x"})
	}
	c := dial(t, addr)
	c.write(hi)
	eventually.True(t, "all is blocked", func() bool { return blocked.Load() == 2 })
	for busy := false; !busy; { // the calls that found no room
		r := expect[ipc.Reply](m)
		busy = strings.Contains(r.Error, "busy")
		ipc.Discard(r)
	}
	for range 2 { // one after the other is fine
		if d := m.dumped(5000); !containsAll(d, "goroutine ", "worker.waitForEver", "ServeHTTP") {
			t.Errorf("dump of %d bytes does not tell: %.300s", len(d), d)
		}
	}
	close(out)
	c.answer()
}

// TestDumpWhileAHandlerSpins on the only processor that the process may use.
func TestDumpWhileAHandlerSpins(t *testing.T) {
	var stop atomic.Bool
	in := make(chan struct{})
	s := serving(t, func(http.ResponseWriter, *http.Request) {
		close(in)
		spin(&stop)
	})
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "handler runs", in)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	start := time.Now()
	d := s.m.dumped(1)
	stop.Store(true)
	t.Logf("answered within %v", time.Since(start))
	if !strings.Contains(d, "worker.spin") {
		t.Errorf("dump does not show the handler: %.300s", d)
	}
	c.answer()
}

//go:noinline
func spin(stop *atomic.Bool) {
	for !stop.Load() {
	}
}

func TestDumpIsBounded(t *testing.T) {
	if b := stacks(4096); !containsAll(string(b), "goroutine ") || len(b) > 4096+100 {
		t.Errorf("%d bytes", len(b))
	}
	if b := stacks(64); !strings.HasSuffix(string(b), "goroutines\n") || !strings.Contains(string(b), "cut off at 64 bytes") {
		t.Errorf("%q", b)
	}
}

//go:noinline
func waitForEver(n *atomic.Int32, out <-chan struct{}) {
	n.Add(1)
	<-out
}
