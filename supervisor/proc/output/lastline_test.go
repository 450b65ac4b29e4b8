package output

import (
	"fmt"
	"strings"
	"testing"
)

func TestLastLine(t *testing.T) {
	t.Run("long", func(t *testing.T) {
		var l lastLine
		l.add([]byte(strings.Repeat("x", 5000)))
		if got := len(l.line()); got != maxLastLine {
			t.Errorf("kept %d bytes, want %d", got, maxLastLine)
		}
	})
	t.Run("not a crash", func(t *testing.T) {
		var l lastLine
		for _, s := range []string{"panic: not really", "goes on", "goroutine 1 is fine", "the end"} {
			l.add([]byte(s))
		}
		if got := l.line(); got != "the end" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTail(t *testing.T) {
	t.Run("bounded", func(t *testing.T) {
		var tail Tail
		for i := range 1000 {
			tail.add([]byte(strings.Repeat("x", i*7%3000)))
			tail.add(fmt.Append(nil, "line ", i))
			text := tail.Lines()
			if len(text) > maxTail || strings.Count(text, "\n") >= maxLastLines || cap(tail.text) > 4*maxTail {
				t.Fatalf("%d bytes and %d newlines kept in %d bytes", len(text), strings.Count(text, "\n"), cap(tail.text))
			}
			for line := range strings.SplitSeq(text, "\n") {
				if line != strings.Repeat("x", len(line)) && !strings.HasPrefix(line, "line ") || len(line) > maxLastLine {
					t.Fatalf("not a line, or not its beginning: %.50q", line)
				}
			}
			if !strings.HasSuffix(text, fmt.Sprint("line ", i)) {
				t.Fatalf("the newest is missing in %q", text)
			}
		}
	})
	t.Run("a crash with many stacks", func(t *testing.T) {
		var l lastLine
		var tail Tail
		for _, s := range append([]string{"before", "panic: why", "[recovered]", ""}, strings.Split(strings.Repeat("goroutine 1 [running]:\nmain.f()\n\tmain.go:1\n\n", 500), "\n")...) {
			if l.add([]byte(s)) {
				tail.add([]byte(s))
			}
		}
		if text := tail.Lines(); !strings.Contains(text, "panic: why\n[recovered]\n\ngoroutine 1") {
			t.Errorf("no headline in %q", text)
		}
	})
}
