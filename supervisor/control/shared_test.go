package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// pair is one listening socket twice, as two masters have it.
func pair(t *testing.T, network, address string) (old, next *SharedListener) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if old, err = Share(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { old.Close() })
	f, err := old.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if next, err = Inherit(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.Close() })
	return old, next
}

// TestSharedListener: the paused one accepts no connection, the other one all, and the one that goes on has those that wait.
func TestSharedListener(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": folder(t) + "/s"} {
		old, next := pair(t, network, address)
		accepted := make(chan string, 10)
		ended := make(chan error, 2)
		serve := func(who string, l *SharedListener) {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				c.Close()
				accepted <- who
			}
		}
		dialed := func(want string) {
			t.Helper()
			c, err := net.Dial(network, old.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if want == "" {
				return
			}
			select {
			case got := <-accepted:
				if got != want {
					t.Errorf("%s: the %s one has accepted, want the %s one", network, got, want)
				}
			case <-time.After(bound):
				t.Fatalf("%s: neither has accepted", network)
			}
		}
		next.Pause()
		go serve("old", old)
		dialed("old")
		old.Pause()
		old.Pause()  // again is nothing
		dialed("")   // waits for
		old.Resume() // an upgrade that failed
		if who := <-accepted; who != "old" {
			t.Errorf("%s: the %s one has accepted", network, who)
		}
		old.Pause()
		go serve("new", next)
		next.Resume()
		for range 3 {
			dialed("new")
		}
		old.Close()
		dialed("new")
		next.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", network, err)
			}
		}
	}
}

// TestCrowdWait: a server that waits before its Shutdown answers a connection that it had accepted, and whose request comes
// only then.
func TestCrowdWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := NewCrowd(10, 0)
	seen := make(chan bool, 10)
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ConnState: func(c net.Conn, st http.ConnState) {
			q.State(c, st)
			seen <- true
		},
	}
	go func() { _ = s.Serve(q.Listener(l)) }()
	q.Wait(0) // no request is there
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-seen
	waited := make(chan bool)
	go func() {
		s.SetKeepAlivesEnabled(false)
		q.Wait(bound)
		close(waited)
	}()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || len(answer) == 0 {
		t.Errorf("answered %q, %v", answer, err)
	}
	<-waited
	if err := s.Shutdown(boundedContext(t)); err != nil {
		t.Error(err)
	}
}

// TestHandedOnSocket: the master that has the control socket answers a question; the file of the socket stays.
func TestHandedOnSocket(t *testing.T) {
	first, _ := serve(t, &fake{})
	ask := func(want string) {
		t.Helper()
		c := NewClient(first.Path())
		defer c.Close()
		st, err := c.Status(boundedContext(t))
		if err != nil || st.Name != want {
			t.Fatalf("answered by %q (%v), want %q", st.Name, err, want)
		}
	}
	named := func(name string) *Server {
		f := &fake{}
		f.status = statusOf(name)
		s := New(f, Options{Path: first.Path()})
		files, err := first.Hand()
		if err != nil || len(files) != 2 {
			t.Fatal(files, err)
		}
		first.Release()
		if err := s.Adopt(files); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			f.Close()
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve() }()
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return s
	}
	ask("web")
	second := named("second")
	if again, err := first.Renew(); again || err != nil { // a look at what is another's by now
		t.Errorf("made again: %v, %v", again, err)
	}
	for range 5 {
		ask("second")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	ask("second")
	third := New(&fake{}, Options{Path: first.Path()})
	if err := third.Listen(); !errors.Is(err, ErrInUse) {
		t.Errorf("a third one listens there: %v", err)
	}
	if again, err := second.Renew(); again || err != nil {
		t.Errorf("made again: %v, %v", again, err)
	}
	second.Release() // to one that fails
	second.Reclaim()
	ask("second")
}

func statusOf(name string) func(context.Context) (api.Status, error) {
	return func(context.Context) (api.Status, error) { return api.Status{Name: name}, nil }
}
