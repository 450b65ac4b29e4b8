package proc

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// trickle starts a pump whose stream is one of those that gather: a line every ms has been written to it.
func trickle(t *testing.T) (p *pump, end *os.File, out *output, exited chan struct{}, done chan struct{}) {
	t.Helper()
	exited, done = make(chan struct{}), make(chan struct{})
	r, w, err := outputPipe()
	if err != nil {
		t.Fatal(err)
	}
	end, out = os.NewFile(uintptr(w), "w"), newOutput()
	p = &pump{stream: stream{file: r, exited: exited}, deliver: out.line, max: 100 << 10}
	go func() {
		defer close(done)
		p.run()
	}()
	for deadline := time.Now().Add(patience); !p.gathers(); time.Sleep(time.Millisecond) {
		fmt.Fprintln(end, "a line")
		if time.Now().After(deadline) {
			t.Fatal("a stream that prints a line every ms is still read line by line")
		}
	}
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
		await(t, done, "the end of the pump")
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
		p.stop() // a stranger holds the pipe
		await(t, done, "the end of the pump")
		end.Close()
	})
	t.Run("silence ends it", func(t *testing.T) {
		p, end, _, _, done := trickle(t)
		for deadline := time.Now().Add(patience); p.gathers(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a silent stream is still read every few ms")
			}
		}
		end.Close()
		await(t, done, "the end of the pump")
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
		await(t, done, "the end of the pump")
	})
}

func TestGatherWithoutDescriptors(t *testing.T) {
	r, w, err := outputPipe()
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

// What a process has written is read to the end although it takes longer than OutputGrace, and a stranger holds the pipe.
func TestLeftoverIsRead(t *testing.T) {
	out := newOutput()
	slow := make(chan struct{})
	first := true
	p := mustStart(t, shell(t, "seq 1 5000"), Options{Stdout: func(line []byte, more bool) {
		if first {
			first = false
			<-slow
		}
		out.line(line, more)
	}})
	await(t, p.OutputDone(), "the end of the grace")
	close(slow)
	out.wait(t, "5000")
	if n := len(out.all()); n != 5000 {
		t.Errorf("%d lines, want 5,000", n)
	}

	s := stream{}
	r, w, err := outputPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.file = r
	end := os.NewFile(uintptr(w), "w")
	defer end.Close()
	fmt.Fprint(end, "left")
	s.stop()
	buf := make([]byte, 100)
	if n, err := s.read(buf, 0); n != 4 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	s.keep(0)
	if n, err := s.read(buf, 0); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
	s.close()
}
