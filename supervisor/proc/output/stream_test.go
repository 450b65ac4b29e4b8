package output

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// trickle starts a Reader whose stream is one of those that gather: a line every ms has been written to it.
func trickle(t *testing.T) (p *Reader, end *os.File, out *collected, exited chan struct{}, done chan struct{}) {
	t.Helper()
	exited, done = make(chan struct{}), make(chan struct{})
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	end, out = os.NewFile(uintptr(w), "w"), newCollected()
	p = NewReader(r, Config{Line: out.line, MaxLine: 100 << 10, Exited: exited})
	go func() {
		defer close(done)
		p.Run()
	}()
	eventually.True(t, "a stream that prints a line every few ms is read in turns", func() bool {
		fmt.Fprintln(end, "a line")
		return p.gathers()
	})
	return p, end, out, exited, done
}

func (s *stream) gathers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file == nil
}

func TestGather(t *testing.T) {
	t.Run("nothing is lost", func(t *testing.T) {
		_, end, out, _, done := trickle(t)
		fmt.Fprintln(end, "one")
		out.wait(t, "one")
		fmt.Fprint(end, "the last")
		end.Close()
		eventually.Receive(t, "the end of the reader", done)
		out.wait(t, "the last")
	})
	t.Run("the end of the process ends it", func(t *testing.T) {
		p, end, out, exited, done := trickle(t)
		fmt.Fprintln(end, "last words")
		close(exited)
		out.wait(t, "last words")
		if p.gathers() {
			t.Error("it still gathers")
		}
		p.Stop() // a stranger holds the pipe
		eventually.Receive(t, "the end of the reader", done)
		end.Close()
	})
	t.Run("silence ends it", func(t *testing.T) {
		p, end, _, _, done := trickle(t)
		eventually.True(t, "a silent stream is in the poller again", func() bool { return !p.gathers() })
		end.Close()
		eventually.Receive(t, "the end of the reader", done)
	})
	t.Run("who prints much is not slowed", func(t *testing.T) {
		_, end, out, _, done := trickle(t)
		at := time.Now()
		for i := range 64 {
			fmt.Fprintf(end, "%d %65000s\n", i, "")
		}
		fmt.Fprintln(end, "end of much")
		out.wait(t, "end of much")
		if took := time.Since(at); took > time.Second && runtime.GOOS == "linux" {
			t.Errorf("4 MB took %s", took)
		}
		end.Close()
		eventually.Receive(t, "the end of the reader", done)
	})
}

func TestGatherWithoutDescriptors(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(w)
	s := stream{file: r}
	r.Close()
	if s.gather(); s.file == nil {
		t.Error("it gathers on a descriptor that could not be duplicated")
	}
}

// What is in the pipe when a reader is stopped is read, and no more.
func TestLeftover(t *testing.T) {
	s := stream{}
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.file = r
	end := os.NewFile(uintptr(w), "w")
	defer end.Close()
	fmt.Fprint(end, "left")
	s.Stop()
	buf := make([]byte, 100)
	if n, err := s.read(buf, 0); n != 4 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	s.keep(0)
	if n, err := s.read(buf, 0); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
	s.Close()
}
