package logs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// gate is a destination that takes nothing until it is opened, or fails.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
	err  error
	got  bytes.Buffer
	seen chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	if g.open != nil {
		<-g.open
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.seen <- struct{}{}:
	default:
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.got.Write(p)
}

func (g *gate) fail(err error) { g.mu.Lock(); g.err = err; g.mu.Unlock() }

func (g *gate) String() string { g.mu.Lock(); defer g.mu.Unlock(); return g.got.String() }

func lostNotice(n int, why error) []byte { return fmt.Appendf(nil, "lost %d: %v\n", n, why) }

func TestSinkNeverHoldsUpTheMaster(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := newSink(g, nil, lostNotice)
	line := bytes.Repeat([]byte("x"), 1023)
	line = append(line, '\n')
	const n = 5000 // five times what fits
	for range n {
		s.Write(line) // returns though the destination takes nothing
	}
	close(g.open)
	if err := s.Close(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	kept := strings.Count(g.String(), "xxx\n")
	if kept == n || kept < 1000 {
		t.Fatalf("kept %d of %d lines, want about the sink's size", kept, n)
	}
	if want := fmt.Sprintf("lost %d: <nil>\n", n-kept); !strings.Contains(g.String(), want) {
		t.Fatalf("the log does not say %q", want)
	}
}

func TestSinkMakesAWorkerWaitAndLosesNothing(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := newSink(g, nil, lostNotice)
	const n = 5000
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		body := bytes.Repeat([]byte("y"), 1023)
		for range n {
			s.Line(body, []byte("\n"))
		}
	}()
	select {
	case <-wrote:
		t.Fatal("a worker wrote 5 MB past a destination that took nothing")
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	<-wrote
	if err := s.Close(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if kept := strings.Count(g.String(), "yyy\n"); kept != n {
		t.Fatalf("kept %d of %d lines", kept, n)
	}
}

func TestSinkSaysWhatAFullDiskCost(t *testing.T) {
	g := &gate{seen: make(chan struct{}, 1)}
	full := errors.New("no space left on device")
	g.fail(full)
	s := newSink(g, nil, lostNotice)
	s.Write([]byte("one\n"))
	<-g.seen
	// The write above has failed once the lock is free and the count is up.
	eventually.True(t, "one line is dropped", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.dropped == 1
	})
	g.fail(nil)
	s.Write([]byte("two\n"))
	if err := s.Close(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if got, want := g.String(), "lost 1: no space left on device\ntwo\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestSinkCloseIsBounded(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := newSink(g, nil, lostNotice)
	s.Write([]byte("never\n"))
	if err := s.Close(20 * time.Millisecond); err == nil {
		t.Fatal("no error from a destination that took nothing")
	}
	close(g.open)
	<-s.finished
}

// closing is a destination that notes that it was closed.
type closing struct {
	gate
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func TestSinkClosesWhatItOpened(t *testing.T) {
	for _, own := range []bool{true, false} {
		c := &closing{}
		var reopen func() error
		if own {
			reopen = func() error { return nil }
		}
		s := newSink(c, reopen, lostNotice)
		s.Write([]byte("last words\n"))
		if err := s.Close(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		if c.closed > 1 || own != (c.closed == 1) || c.String() != "last words\n" {
			t.Errorf("own %v: closed %d times, got %q", own, c.closed, c)
		}
	}
}

// TestSinkSaysWhatWasLostAtTheEnd, when no other line follows.
func TestSinkSaysWhatWasLostAtTheEnd(t *testing.T) {
	g := &gate{open: make(chan struct{}), seen: make(chan struct{}, 1)}
	s := newSink(g, nil, lostNotice)
	g.fail(errors.New("no space left on device"))
	s.Write([]byte("lost\n"))
	closed := make(chan error)
	go func() { closed <- s.Close(5 * time.Second) }()
	g.open <- struct{}{}
	<-g.seen
	g.fail(nil)
	close(g.open)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if got, want := g.String(), "lost 1: no space left on device\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
