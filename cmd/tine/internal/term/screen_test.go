package term

import (
	"bytes"
	"os"
	"testing"
)

func TestHarmless(t *testing.T) {
	const line = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\a\tok\r\x00\xff\u0085"
	file := Screen{}
	if got := file.Harmless(line); got != line {
		t.Errorf("a file gets %q", got)
	}
	for colours, want := range map[bool]string{
		true:  "\x1b[31mred\x1b[0m ^[[2J^[]0;title^G\tok^M^@\xff?\x1b[0m",
		false: "red ^[[2J^[]0;title^G\tok^M^@\xff?",
	} {
		if got := (Screen{Terminal: true, Colours: colours}).Harmless(line); got != want {
			t.Errorf("a terminal (colours: %v) gets %q, want %q", colours, got, want)
		}
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("\x1b[1;31mx\x1b[m\x1b[2K")
	f.Fuzz(func(t *testing.T, line string) {
		got := Screen{Terminal: true}.Harmless(line)
		for _, r := range got {
			if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q becomes %q", line, got)
			}
		}
	})
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	if s := NewScreen(&bytes.Buffer{}); s.Terminal || s.Colours || s.Paint(Red, "x") != "x" {
		t.Errorf("a buffer is %+v", s)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := NewScreen(f); s.Terminal || s.Colours {
		t.Errorf("a file is %+v", s)
	}
	if got := (Screen{Colours: true}).Paint(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
}
