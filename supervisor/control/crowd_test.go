package control

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
)

// fakeConn notes that it was closed.
type fakeConn struct {
	net.Conn
	closed bool
}

func (c *fakeConn) Close() error { c.closed = true; return nil }

// TestCrowd: who has said nothing gives way first, then who idles longest, and never a request under way.
func TestCrowd(t *testing.T) {
	crowd := NewCrowd(4, 0)
	admit := func() *fakeConn {
		t.Helper()
		c := &fakeConn{}
		if err := crowd.Admit(c, 1); err != nil {
			t.Fatal(err)
		}
		crowd.State(c, http.StateNew)
		return c
	}
	busy, idle, early, late := admit(), admit(), admit(), admit()
	for _, c := range []*fakeConn{busy, idle, early} {
		crowd.State(c, http.StateActive)
	}
	crowd.State(early, http.StateIdle)
	crowd.State(idle, http.StateIdle)
	closed := func(want ...*fakeConn) {
		t.Helper()
		for _, c := range []*fakeConn{busy, idle, early, late} {
			gone := false
			for _, w := range want {
				gone = gone || c == w
			}
			if c.closed != gone {
				t.Fatalf("a connection is closed: %v, want %v", c.closed, gone)
			}
		}
	}
	closed()
	crowd.State(admit(), http.StateActive)
	closed(late)
	crowd.State(late, http.StateClosed) // its goroutine has seen it
	crowd.State(admit(), http.StateActive)
	closed(late, early)
	crowd.State(admit(), http.StateActive)
	closed(late, early, idle)
	if err := crowd.Admit(&fakeConn{}, 1); !errors.Is(err, ErrFull) {
		t.Fatalf("when all are busy: %v, want ErrFull", err)
	}
	crowd.State(busy, http.StateClosed)
	admit()
}

// TestCrowdShares: a process that has its full share makes room of its own, and takes none of others.
func TestCrowdShares(t *testing.T) {
	crowd := NewCrowd(4, 2)
	of := map[int][]*fakeConn{}
	admit := func(owner int) error {
		c := &fakeConn{}
		of[owner] = append(of[owner], c)
		return crowd.Admit(c, owner)
	}
	for _, owner := range []int{1, 2, 1, 1} {
		if err := admit(owner); err != nil {
			t.Fatal(err)
		}
	}
	if !of[1][0].closed || of[1][1].closed || of[2][0].closed {
		t.Error("the oldest of the process with the full share had to give way")
	}
	for _, c := range of[1] {
		crowd.State(c, http.StateActive)
	}
	if err := admit(1); !errors.Is(err, ErrFullOfOne) {
		t.Errorf("a process with a full share of requests: %v, want ErrFullOfOne", err)
	}
	if err := admit(3); err != nil {
		t.Errorf("another process: %v", err)
	}
}

// FuzzCrowd: never more than the bounds are open, what is busy is never closed, and nothing is left of what has ended.
func FuzzCrowd(f *testing.F) {
	f.Add(uint64(1), 200)
	f.Fuzz(func(t *testing.T, seed uint64, steps int) {
		r := rand.New(rand.NewPCG(seed, 0))
		const most, share = 8, 4
		crowd := NewCrowd(most, share)
		type conn struct {
			*fakeConn
			owner int
			busy  bool
		}
		var all []*conn
		for range min(max(steps, 0), 2000) {
			open, byOwner, idlers := 0, map[int]int{}, 0
			for _, c := range all {
				if c.busy && c.closed {
					t.Fatal("a connection with a request under way was closed")
				}
				if !c.closed {
					open++
					byOwner[c.owner]++
					if !c.busy {
						idlers++
					}
				}
			}
			if open > most || byOwner[0] > share || byOwner[1] > share || byOwner[2] > share {
				t.Fatalf("%d are open, by owner %v", open, byOwner)
			}
			if open != len(crowd.guests) || idlers != crowd.fresh.Len()+crowd.idle.Len() {
				t.Fatalf("%d open and %d idle, counted %d and %d", open, idlers, len(crowd.guests), crowd.fresh.Len()+crowd.idle.Len())
			}
			if len(all) == 0 || r.IntN(3) == 0 {
				c := &conn{fakeConn: &fakeConn{}, owner: r.IntN(3)}
				if err := crowd.Admit(c.fakeConn, c.owner); err == nil {
					all = append(all, c)
				} else if errors.Is(err, ErrFull) && idlers > 0 {
					t.Fatal("refused beside an idle connection")
				}
				continue
			}
			c := all[r.IntN(len(all))]
			if c.closed {
				crowd.State(c.fakeConn, http.StateClosed)
				continue
			}
			switch r.IntN(3) {
			case 0:
				crowd.State(c.fakeConn, http.StateActive)
				c.busy = true
			case 1:
				crowd.State(c.fakeConn, http.StateIdle)
				c.busy = false
			case 2:
				c.busy, c.closed = false, true
				crowd.State(c.fakeConn, []http.ConnState{http.StateClosed, http.StateHijacked}[r.IntN(2)])
			}
		}
		for _, c := range all {
			crowd.State(c.fakeConn, http.StateClosed)
		}
		if len(crowd.guests)+len(crowd.byOwner)+crowd.fresh.Len()+crowd.idle.Len() != 0 {
			t.Fatal("something is left of what has ended")
		}
	})
}

// TestHTTP1 speaks HTTP/2 to a server that has only HTTP/1.
func TestHTTP1(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := HTTP1(&http.Server{Handler: http.NotFoundHandler()})
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c) // a reset may follow what was not read
	if len(answer) < 9 || string(answer[:5]) != "HTTP/" {
		t.Errorf("answered %q, want HTTP/1", answer)
	}
	if err := s.Shutdown(boundedContext(t)); err != nil {
		t.Error(err)
	}
	<-ended
}
