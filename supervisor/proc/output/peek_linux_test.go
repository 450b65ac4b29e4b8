package output

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// held starts a Reader and says what is in its pipe.
func held(t *testing.T, max int, line LineFunc, written WrittenFunc) (end *os.File, inside func() int) {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	look, err := ipc.Duplicate(r)
	if err != nil {
		t.Fatal(err)
	}
	end = os.NewFile(uintptr(w), "w")
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewReader(r, Config{Written: written, Line: line, MaxLine: max}).Run()
	}()
	t.Cleanup(func() {
		end.Close()
		eventually.Receive(t, "the end of the reader", done)
		look.Close()
	})
	return end, func() int {
		n := 0
		err := ipc.Control(look, func(fd int) (err error) {
			n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func TestLineStaysInThePipeUntilItIsWritten(t *testing.T) {
	asked, allowed := make(chan bool), make(chan struct{})
	out := newCollected()
	end, inside := held(t, 100, out.line, func(hurry bool) {
		asked <- hurry
		<-allowed
	})
	fmt.Fprint(end, "a line\nand a part")
	if hurry := <-asked; hurry {
		t.Error("a line is in a hurry")
	}
	if n := inside(); n != 17 || len(out.all()) != 1 {
		t.Errorf("%d bytes are in the pipe, want 17; lines %q", n, out.all())
	}
	allowed <- struct{}{}
	eventually.True(t, "only the part is in the pipe", func() bool { return inside() == 10 })
	fmt.Fprint(end, " is whole\n")
	<-asked
	if got := out.all(); len(got) != 2 || got[1] != "and a part is whole" {
		t.Errorf("lines are %q", got)
	}
	allowed <- struct{}{}
	eventually.True(t, "nothing is in the pipe", func() bool { return inside() == 0 })
}

// A line is delivered whole, and its writer does not wait for ever, whatever the pipe is filled with: one byte in each of
// its slots, or more than it can be made to take.
func TestLineThatFillsThePipe(t *testing.T) {
	t.Run("a byte in each slot", func(t *testing.T) {
		out := newCollected()
		end, _ := held(t, DefaultMaxLine, out.line, nil)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		const slots = 500
		spliced := make(chan error, 1)
		go func() {
			for i := range slots {
				b := byte('x')
				if i == slots-1 {
					b = '\n'
				}
				if _, err := w.Write([]byte{b}); err != nil {
					spliced <- err
					return
				}
				if _, err := unix.Splice(int(r.Fd()), nil, int(end.Fd()), nil, 1, 0); err != nil {
					spliced <- err
					return
				}
			}
			spliced <- nil
		}()
		out.wait(t, strings.Repeat("x", slots-1))
		if err := <-spliced; err != nil {
			t.Error(err)
		}
	})
	t.Run("longer than the pipe", func(t *testing.T) {
		out := newCollected()
		end, inside := held(t, 2<<20, out.line, nil)
		long := strings.Repeat("y", 1<<20)
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			fmt.Fprintln(end, long)
		}()
		out.wait(t, long)
		<-wrote
		eventually.True(t, "nothing is in the pipe", func() bool { return inside() == 0 })
	})
}

// A file that is not a pipe cannot be copied: it is read as ever.
func TestWithoutCopies(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := newCollected()
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewReader(Pollable(fds[0]), Config{Line: out.line, MaxLine: 100}).Run()
	}()
	end := os.NewFile(uintptr(fds[1]), "end")
	fmt.Fprint(end, "one\ntw")
	out.wait(t, "one")
	fmt.Fprint(end, "o\nthree")
	end.Close()
	eventually.Receive(t, "the end of the reader", done)
	if got := strings.Join(out.all(), "|"); got != "one|two|three" {
		t.Errorf("lines are %q", got)
	}
}

// A stream that is left while its lines gather goes on with the next reader: no line is missing, torn or twice.
func TestLeaveWhileLinesGather(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	end := os.NewFile(uintptr(w), "w")
	stop := make(chan struct{})
	printed := make(chan int)
	go func() {
		defer close(printed)
		defer end.Close()
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				printed <- n
				return
			case <-pace.C:
				fmt.Fprintln(end, n)
			}
		}
	}()
	out := newCollected()
	for range 10 {
		left, done := make(chan struct{}), make(chan struct{})
		reader := NewReader(r, Config{Line: out.line, Left: left})
		go func() {
			defer close(done)
			reader.Run()
		}()
		eventually.True(t, "lines gather", reader.gathers)
		if r, err = reader.Share(); err != nil {
			t.Fatal(err)
		}
		close(left)
		reader.Wake()
		eventually.Receive(t, "the end of the reader", done)
	}
	close(stop)
	n := <-printed
	NewReader(r, Config{Line: out.line}).Run()
	lines := out.all()
	for i, line := range lines {
		if line != fmt.Sprint(i) || out.parts[i] {
			t.Fatalf("line %d is %q", i, line)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines were read, %d were printed", len(lines), n)
	}
}
