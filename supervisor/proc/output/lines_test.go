package output

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// readAll sends pieces through a Reader and returns what it delivers.
func readAll(t testing.TB, max int, pieces ...[]byte) *collected {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out := newCollected()
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewReader(r, Config{Line: out.line, MaxLine: max}).Run()
	}()
	for _, p := range pieces {
		for len(p) > 0 {
			n, err := syscall.Write(w, p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
	}
	syscall.Close(w)
	eventually.Receive(t, "the end of the reader", done)
	return out
}

func TestLines(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1000) // 16,000 bytes
	for _, c := range []struct {
		name  string
		max   int
		in    string
		lines []string
		more  string // one letter a line
	}{
		{"nothing", 100, "", nil, ""},
		{"one", 100, "a\n", []string{"a"}, "-"},
		{"several", 100, "a\nb\n\nc\n", []string{"a", "b", "", "c"}, "----"},
		{"the last has no newline", 100, "a\nb", []string{"a", "b"}, "--"},
		{"only a newline", 100, "\n", []string{""}, "-"},
		{"carriage returns stay", 100, "a\r\n", []string{"a\r"}, "-"},
		{"rubbish stays", 100, "\x00\xff\xfe\x1b[31m\n", []string{"\x00\xff\xfe\x1b[31m"}, "-"},
		{"just the longest", 4, "abcd\n", []string{"abcd"}, "-"},
		{"just the longest, last", 4, "abcd", []string{"abcd"}, "-"},
		{"one too long", 4, "abcde\n", []string{"abcd", "e"}, "m-"},
		{"two pieces", 4, "abcdefgh\n", []string{"abcd", "efgh"}, "m-"},
		{"three pieces, last", 4, "abcdefghi", []string{"abcd", "efgh", "i"}, "mm-"},
		{"a long one among others", 4, "a\nabcdef\nb\n", []string{"a", "abcd", "ef", "b"}, "-m--"},
		{"grows", 64 << 10, big + "\n" + big + big + "\nx\n", []string{big, big + big, "x"}, "---"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := readAll(t, c.max, []byte(c.in))
			var more strings.Builder
			for _, m := range out.parts {
				more.WriteString(map[bool]string{true: "m", false: "-"}[m])
			}
			if strings.Join(out.lines, "|") != strings.Join(c.lines, "|") || len(out.lines) != len(c.lines) || more.String() != c.more {
				t.Errorf("got %d lines %.200q %s, want %d %.200q %s", len(out.lines), out.lines, more.String(), len(c.lines), c.lines, c.more)
			}
		})
	}
}

// TestLongLines: a line is whole up to the bound, and longer ones come in pieces that say so. What all streams hold of
// long lines together is bounded: beyond it pieces are shorter. All of it is given back.
func TestLongLines(t *testing.T) {
	joined := func(out *collected) (lines []string, most int) {
		line := ""
		for i, l := range out.lines {
			line, most = line+l, max(most, len(l))
			if !out.parts[i] {
				lines, line = append(lines, line), ""
			}
		}
		if line != "" {
			t.Errorf("%d bytes go on in a line that never comes", len(line))
		}
		return lines, most
	}
	in := []string{"a", strings.Repeat("b", 70_000), "c", strings.Repeat("d", DefaultMaxLine), strings.Repeat("e", 3*DefaultMaxLine+5), "f"}
	text := []byte(strings.Join(in, "\n") + "\n")
	for name, c := range map[string]struct {
		taken  int64
		pieces int
		most   int
	}{
		"room":    {0, 5 + 4, DefaultMaxLine},
		"no room": {mostOfLong, 3 + 2 + 5 + 13, usualBuffer},
	} {
		longLines.Add(c.taken)
		out := readAll(t, DefaultMaxLine, text)
		longLines.Add(-c.taken)
		got, most := joined(out)
		if strings.Join(got, "\n")+"\n" != string(text) || most > c.most || len(out.lines) > c.pieces || len(out.lines) < len(in) {
			t.Errorf("%s: %d lines in %d pieces of at most %d bytes", name, len(got), len(out.lines), most)
		}
		if n := longLines.Load(); n != 0 {
			t.Errorf("%s: %d bytes are not given back", name, n)
		}
	}
}

// What goes in comes out, whatever the pieces are in which it comes, and no piece is longer than allowed.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbc\n\n"), uint16(3), uint64(1))
	f.Add(bytes.Repeat([]byte("x"), 10000), uint16(4096), uint64(2))
	f.Add([]byte("\x00\xff\n\r\n"), uint16(1), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, max uint16, seed uint64) {
		if max == 0 {
			max = 1
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		out := readAll(t, int(max), pieces...)
		var joined []byte
		for i, l := range out.lines {
			if len(l) > int(max) || strings.Contains(l, "\n") {
				t.Fatalf("line %d has %d bytes, at most %d are allowed: %q", i, len(l), max, l)
			}
			joined = append(joined, l...)
			if !out.parts[i] {
				joined = append(joined, '\n')
			}
		}
		want := in
		if len(in) > 0 && in[len(in)-1] != '\n' {
			want = append(bytes.Clone(in), '\n')
		}
		if !bytes.Equal(joined, want) {
			t.Fatalf("got %q, want %q", joined, want)
		}
	})
}

func TestLargeBufferIsGivenBack(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	room := 0 // of the buffer behind the line that came last
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewReader(r, Config{MaxLine: 1 << 20, Line: func(line []byte, _ bool) {
			room = cap(line)
			got <- len(line)
		}}).Run()
	}()
	defer func() {
		syscall.Close(w)
		eventually.Receive(t, "the end of the reader", done)
	}()
	send := func(n int) {
		t.Helper()
		f := append(bytes.Repeat([]byte("x"), n), '\n')
		go func() {
			for len(f) > 0 {
				n, err := syscall.Write(w, f)
				if err != nil {
					return
				}
				f = f[n:]
			}
		}()
		select {
		case m := <-got:
			if m != n {
				t.Fatalf("got a line of %d bytes, want %d", m, n)
			}
		case <-time.After(eventually.Patience()):
			t.Fatal("no line")
		}
	}
	send(900_000)
	for range 2 * idleReads {
		send(10)
	}
	if room > smallBuffer {
		t.Errorf("the buffer still has %d bytes", room)
	}
	send(900_000)
}

func BenchmarkLines(b *testing.B) {
	r, w, err := Pipe()
	if err != nil {
		b.Fatal(err)
	}
	out := os.NewFile(uintptr(w), "w")
	block := bytes.Repeat(append(bytes.Repeat([]byte("x"), 99), '\n'), 100)
	b.SetBytes(int64(len(block)))
	go func() {
		defer out.Close()
		for range b.N {
			out.Write(block)
		}
	}()
	n := 0
	b.ResetTimer()
	NewReader(r, Config{Line: func([]byte, bool) { n++ }}).Run()
	if n != b.N*100 {
		b.Fatalf("%d lines, want %d", n, b.N*100)
	}
}
