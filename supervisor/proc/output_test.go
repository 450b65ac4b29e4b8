package proc

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// A reader that is slower than the writer holds up the writer: memory stays.
func TestSlowReaderHoldsUpTheWriterOnly(t *testing.T) {
	block := make(chan struct{})
	started := make(chan struct{})
	lines := 0
	p := mustStart(t, child(t, "flood", "50"), Options{Stdout: func(line []byte, more bool) {
		if lines == 0 {
			close(started)
			<-block
		}
		if len(line) != 99 || more {
			t.Errorf("line %d has %d bytes", lines, len(line))
		}
		lines++
	}})
	eventually.Receive(t, "the first line", started)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	select {
	case <-p.Exited():
		t.Fatal("50 MB were printed although they were not read")
	case <-time.After(100 * time.Millisecond):
	}
	at := time.Now()
	close(block)
	if e := exitOf(t, p); e.Code != 0 {
		t.Fatal(e)
	}
	took := time.Since(at)
	runtime.ReadMemStats(&after)
	if lines != 500_000 {
		t.Errorf("%d lines, want 500,000", lines)
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 4<<20 {
		t.Errorf("%d bytes were allocated for 50 MB of output", grown)
	}
	t.Logf("50 MB in 500,000 lines in %s (%.0f MB/s)", took, 50/took.Seconds())
}

func TestLastLine(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"nothing", "exit 1", ""},
		{"stdout", "echo a; echo b", "b"},
		{"stderr wins", "echo out1 >&1; echo err >&2; echo out2", "err"},
		{"blank lines do not count", "echo why >&2; echo >&2; echo '  ' >&2", "why"},
		{"no newline", "printf why >&2", "why"},
	} {
		t.Run(c.name, func(t *testing.T) {
			drop := func([]byte, bool) {}
			if e := exitOf(t, mustStart(t, shell(t, c.script), Options{Stdout: drop, Stderr: drop})); e.LastLine != c.want {
				t.Errorf("got %q, want %q", e.LastLine, c.want)
			}
		})
	}
	t.Run("a crash in Go", func(t *testing.T) {
		drop := func([]byte, bool) {}
		e := exitOf(t, mustStart(t, child(t, "crash"), Options{Stdout: drop, Stderr: drop}))
		if want := "panic: runtime error: invalid memory address or nil pointer dereference"; e.LastLine != want || e.Code != 2 {
			t.Errorf("got %s, %q; want code 2, %q", e, e.LastLine, want)
		}
	})
}

func numbered(from, to int) string {
	var s []string
	for i := from; i <= to; i++ {
		s = append(s, fmt.Sprint("line ", i))
	}
	return strings.Join(s, "\n")
}

func TestLastLines(t *testing.T) {
	drop := func([]byte, bool) {}
	for _, c := range []struct{ name, script, want string }{
		{"nothing", "exit 1", ""},
		{"one", "echo a", "a"},
		{"no newline", "echo a; printf b", "a\nb"},
		{"both streams, as they came", "echo a; sleep 0.05; echo b >&2; sleep 0.05; echo c", "a\nb\nc"},
		{"the newest twenty", "for i in $(seq 50); do echo line $i; done", numbered(31, 50)},
		{"blank lines at the end do not count", "echo a; echo; echo b; echo; echo", "a\n\nb"},
		{"only blank ones", "echo; echo", ""},
		{"killed by itself", "for i in $(seq 10000); do echo line $i; done; kill -9 $$", numbered(9981, 10000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if e := exitOf(t, mustStart(t, shell(t, c.script), Options{Stdout: drop, Stderr: drop})); e.LastLines != c.want {
				t.Errorf("got %q, want %q", e.LastLines, c.want)
			}
		})
	}
	t.Run("a crash in Go", func(t *testing.T) {
		e := exitOf(t, mustStart(t, child(t, "crash"), Options{Stdout: drop, Stderr: drop}))
		first, rest, _ := strings.Cut(e.LastLines[strings.Index(e.LastLines, "panic: "):], "\n")
		if first != e.LastLine || !strings.Contains(rest, "goroutine ") {
			t.Errorf("neither headline nor stack in %q", e.LastLines)
		}
	})
}

// What a process wrote before it was killed is delivered in full.
func TestNothingIsLostWhenKilled(t *testing.T) {
	for range 5 {
		out := newCollected()
		p := mustStart(t, shell(t, "i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done; kill -9 $$"), Options{Stdout: out.line})
		if e := exitOf(t, p); e.Signal == 0 {
			t.Fatal(e)
		}
		lines := out.all()
		if len(lines) != 10000 || lines[0] != "line 0" || lines[9999] != "line 9999" {
			t.Fatalf("%d lines of 10,000", len(lines))
		}
	}
}

// What a process has written is read to the end although it takes longer than OutputGrace, and a stranger holds the pipe.
func TestLeftoverIsRead(t *testing.T) {
	out := newCollected()
	slow := make(chan struct{})
	first := true
	p := mustStart(t, shell(t, "seq 1 5000"), Options{Stdout: func(line []byte, more bool) {
		if first {
			first = false
			<-slow
		}
		out.line(line, more)
	}})
	eventually.Receive(t, "the end of the grace", p.OutputDone())
	select {
	case <-p.Drained():
		t.Error("drained, although the first line is not taken yet")
	default:
	}
	close(slow)
	eventually.Receive(t, "all is taken", p.Drained())
	if n := len(out.all()); n != 5000 {
		t.Errorf("%d lines, want 5,000", n)
	}
}
