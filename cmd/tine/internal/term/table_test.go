package term

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTableFitsTheScreen(t *testing.T) {
	for width := range 60 {
		table := NewTable(Left("NAME", 0), Right("N", 1), Left("LISTEN", 2))
		table.Add("ä-long-name-of-an-app", 12345, "127.0.0.1:7000")
		table.Add("b", Red.Cell("7"), "-")
		var out bytes.Buffer
		table.Write(Screen{Writer: &out, Width: width}, 2)
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
	table := NewTable(Left("KEY", 0), Left("ERROR", 0))
	table.Add("a\x1b[31mb\nc", Red.Cell("no\r\ttable\u009b"))
	var out bytes.Buffer
	table.Write(Screen{Writer: &out}, 0)
	if want := "KEY        ERROR\na?[31mb?c  no??table?\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
