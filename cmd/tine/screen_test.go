package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinehq/tine/supervisor/control"
)

func TestTableFitsTheScreen(t *testing.T) {
	for width := 0; width < 60; width++ {
		table := &table{columns: []column{{"NAME", false, 0}, {"N", true, 1}, {"LISTEN", false, 2}}}
		table.add("ä-long-name-of-an-app", 12345, "127.0.0.1:7000")
		table.add("b", cell{"7", red}, "-")
		var out bytes.Buffer
		table.write(screen{Writer: &out, width: width}, 2)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("width %d: %d lines: %q", width, len(lines), out.String())
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); width >= 8 && n > width {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("width %d: spaces at the end of %q", width, line)
			}
		}
		if width == 0 && !strings.Contains(lines[1], "127.0.0.1:7000") {
			t.Errorf("without a bound nothing is left out: %q", lines[1])
		}
		if width == 34 && strings.Contains(out.String(), "LISTEN") {
			t.Errorf("what may go first is still there: %q", out.String())
		}
	}
}

func TestTableOfOthersWords(t *testing.T) {
	table := &table{columns: []column{{"KEY", false, 0}, {"ERROR", false, 0}}}
	table.add("a\x1b[31mb\nc", cell{"no\r\ttable\u009b", red})
	var out bytes.Buffer
	table.write(screen{Writer: &out}, 0)
	if want := "KEY        ERROR\na?[31mb?c  no??table?\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestHarmless(t *testing.T) {
	const line = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\a\tok\r\x00\xff\u0085"
	file := screen{}
	if got := file.harmless(line); got != line {
		t.Errorf("a file gets %q", got)
	}
	for colours, want := range map[bool]string{
		true:  "\x1b[31mred\x1b[0m ^[[2J^[]0;title^G\tok^M^@\xff?\x1b[0m",
		false: "red ^[[2J^[]0;title^G\tok^M^@\xff?",
	} {
		if got := (screen{terminal: true, colours: colours}).harmless(line); got != want {
			t.Errorf("a terminal (colours: %v) gets %q, want %q", colours, got, want)
		}
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("\x1b[1;31mx\x1b[m\x1b[2K")
	f.Fuzz(func(t *testing.T, line string) {
		got := screen{terminal: true}.harmless(line)
		for _, r := range got {
			if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q becomes %q", line, got)
			}
		}
	})
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	if s := newScreen(&bytes.Buffer{}); s.terminal || s.colours || s.paint(red, "x") != "x" {
		t.Errorf("a buffer is %+v", s)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := newScreen(f); s.terminal || s.colours {
		t.Errorf("a file is %+v", s)
	}
	if got := (screen{colours: true}).paint(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
}

func TestHumanNumbers(t *testing.T) {
	for s, want := range map[float64]string{-1: "0s", 0: "0s", 0.25: "250ms", 59.9: "59s", 60: "1m", 62: "1m2s", 3723: "1h2m", 90000: "1d1h", 86400 * 400: "400d"} {
		if got := seconds(s); got != want {
			t.Errorf("seconds(%v) = %s, want %s", s, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 12 << 20: "12M", 1000 << 20: "1.0G", 5 << 40: "5.0T"} {
		if got := memory(n); got != want {
			t.Errorf("memory(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{99999: "99999", 100000: "100.0k", 12345678: "12.3M", 12345678901: "12.3G"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %s, want %s", n, got, want)
		}
	}
	for ms, want := range map[float64]string{0: "-", 0.0213: "0.021ms", 1.25: "1.2ms", 42: "42ms", 12000: "12s"} {
		if got := milliseconds(ms); got != want {
			t.Errorf("milliseconds(%v) = %s, want %s", ms, got, want)
		}
	}
}

// display is what a terminal shows after what was written to it: of its sequences it
// knows those that progress uses.
func display(written string) []string {
	lines := []string{""}
	at := 0
	for len(written) > 0 {
		switch {
		case strings.HasPrefix(written, "\x1b[J"):
			lines = append(lines[:at], "")
			written = written[3:]
		case strings.HasPrefix(written, "\x1b["):
			end := strings.IndexByte(written, 'A')
			n := 0
			for _, c := range written[2:end] {
				n = n*10 + int(c-'0')
			}
			at -= n
			written = written[end+1:]
		case written[0] == '\r':
			written = written[1:]
		case written[0] == '\n':
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
			written = written[1:]
		default:
			lines[at] += written[:1]
			written = written[1:]
		}
	}
	return lines[:at]
}

func steps() []control.Progress {
	zero, one := 0, 1
	at := time.Now()
	return []control.Progress{
		{Time: at, App: "web", State: "rolling", Message: "begins", Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 3, State: "spawned", Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 3, State: "ready", PID: 7, Done: 1, Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 1, Message: "worker 1 exited", Done: 1, Total: 2},
		{Time: at, App: "web", Slot: &zero, Worker: 4, Message: "bad \x1b[2J line " + strings.Repeat("x", 100), Done: 1, Total: 2},
	}
}

func TestProgressInPlace(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(screen{Writer: &out, terminal: true, width: 60, height: 24}, "reload", false)
	for _, s := range steps() {
		p.step(s)
	}
	got := display(out.String())
	want := []string{"web        reload 1/2; begins", "web/0      bad ^[[2J line ", "web/1      ready, pid 7; worker 1 exited"}
	if len(got) != len(want) {
		t.Fatalf("the terminal shows %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) || utf8.RuneCountInString(got[i]) > 60 {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestProgressOnASmallScreen(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(screen{Writer: &out, terminal: true, width: 60, height: 3}, "reload", false)
	for _, s := range steps() {
		p.step(s)
	}
	if got := display(out.String()); len(got) != 1 || !strings.HasPrefix(got[0], "web        reload 1/2") {
		t.Errorf("the terminal shows %q", got)
	}
}
