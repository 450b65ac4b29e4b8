package tcp

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/tunnel"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// echo is a member that says its name, and then all that it hears.
func echo(t *testing.T, name string) string {
	ln := listen(t)
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, name)
				_, _ = io.Copy(c, c)
			})
		}
	})
	return ln.Addr().String()
}

func closed(t *testing.T) string {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

// served passes connections on to the first of these members that has room.
func served(t *testing.T, change func(*Options), table ...members.Member) (to string, picker *gate.Picker) {
	t.Helper()
	picker, err := gate.New(gate.Options{Way: gate.First})
	if err != nil {
		t.Fatal(err)
	}
	for i := range table {
		table[i].ID, table[i].Weight, table[i].State = fmt.Sprint("m", i), 1, members.Ready
	}
	picker.Update(members.Table{Members: table}, 1)
	log := slog.New(slog.DiscardHandler)
	o := Options{Picker: func() *gate.Picker { return picker }, Tunnels: tunnel.New(tunnel.Options{Log: log}), Log: log}
	if change != nil {
		change(&o)
	}
	ln := listen(t)
	ended := make(chan error, 1)
	s := New(o)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		<-ended
		eventually.True(t, "all tunnels end", func() bool { return o.Tunnels.Len() == 0 })
	})
	return ln.Addr().String(), picker
}

func dialed(t *testing.T, to string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(eventually.Patience()))
	return c.(*net.TCPConn)
}

// TestPassesOn: bytes pass both ways, and an end of one side leaves the other open; a member that refuses is passed over.
func TestPassesOn(t *testing.T) {
	t.Parallel()
	to, _ := served(t, func(o *Options) { o.Preface = func(net.Conn) ([]byte, error) { return []byte("preface "), nil } },
		members.Member{Address: closed(t)}, members.Member{Address: echo(t, "one ")})
	c := dialed(t, to)
	big := strings.Repeat("0123456789", 1<<17)
	go func() {
		_, _ = io.WriteString(c, big)
		_ = c.CloseWrite()
	}()
	if b, err := io.ReadAll(c); string(b) != "one preface "+big || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestCounts: a connection takes a place at its member until it ends; where there is none, it is closed and that is logged.
func TestCounts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(b)
	}), nil))
	to, _ := served(t, func(o *Options) { o.Log = log }, members.Member{Address: echo(t, "one "), MaxInFlight: 1}, members.Member{Address: echo(t, "two "), MaxInFlight: 1})
	says := func(c net.Conn) string {
		b := make([]byte, 4)
		_, _ = io.ReadFull(c, b)
		return string(b)
	}
	one, two := dialed(t, to), dialed(t, to)
	if a, b := says(one), says(two); a+b != "one two " && a+b != "two one " {
		t.Errorf("%q, %q", a, b)
	}
	if b, _ := io.ReadAll(dialed(t, to)); len(b) > 0 {
		t.Errorf("a third gets %q", b)
	}
	mu.Lock()
	if !strings.Contains(out.String(), "connections are closed") {
		t.Errorf("log: %s", out.String())
	}
	mu.Unlock()
	one.Close()
	eventually.True(t, "the place is free", func() bool {
		c := dialed(t, to)
		defer c.Close()
		return says(c) != "\x00\x00\x00\x00"
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
