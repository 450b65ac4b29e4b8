package proc

import (
	"fmt"
	"strings"
	"testing"
)

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
	t.Run("bounded", func(t *testing.T) {
		var tail tail
		for i := range 1000 {
			tail.add([]byte(strings.Repeat("x", i*7%3000)))
			tail.add([]byte(fmt.Sprint("line ", i)))
			text := tail.lines()
			if len(text) > maxTail || strings.Count(text, "\n") >= maxLastLines || cap(tail.text) > 4*maxTail {
				t.Fatalf("%d bytes and %d newlines kept in %d bytes", len(text), strings.Count(text, "\n"), cap(tail.text))
			}
			for _, line := range strings.Split(text, "\n") {
				if line != strings.Repeat("x", len(line)) && !strings.HasPrefix(line, "line ") || len(line) > maxLastLine {
					t.Fatalf("not a line, or not its beginning: %.50q", line)
				}
			}
			if !strings.HasSuffix(text, fmt.Sprint("line ", i)) {
				t.Fatalf("the newest is missing in %q", text)
			}
		}
	})
	t.Run("a crash in Go", func(t *testing.T) {
		e := exitOf(t, mustStart(t, child(t, "crash"), Options{Stdout: drop, Stderr: drop}))
		first, rest, _ := strings.Cut(e.LastLines[strings.Index(e.LastLines, "panic: "):], "\n")
		if first != e.LastLine || !strings.Contains(rest, "goroutine ") {
			t.Errorf("neither headline nor stack in %q", e.LastLines)
		}
	})
	t.Run("a crash with many stacks", func(t *testing.T) {
		var l lastLine
		var tail tail
		for _, s := range append([]string{"before", "panic: why", "[recovered]", ""}, strings.Split(strings.Repeat("goroutine 1 [running]:\nmain.f()\n\tmain.go:1\n\n", 500), "\n")...) {
			if l.add([]byte(s)) {
				tail.add([]byte(s))
			}
		}
		if text := tail.lines(); !strings.Contains(text, "panic: why\n[recovered]\n\ngoroutine 1") {
			t.Errorf("no headline in %q", text)
		}
	})
}

// What a process wrote before it was killed is delivered in full.
func TestNothingIsLostWhenKilled(t *testing.T) {
	for range 5 {
		out := newOutput()
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
