package file

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tinehq/tine/supervisor/config"
)

// TestExcerptOfALine: what is shown of a line is bounded, harmless to a terminal, and
// the pointer is below the place.
func TestExcerptOfALine(t *testing.T) {
	long := strings.Repeat("[", 100_000)
	for _, c := range []struct {
		source string
		column int
	}{{"policy: lest", 9}, {"\tpolicy", 2}, {"a\x1b[2Jb\x07", 3}, {long, 1}, {long, 50}, {long, 50_000}, {long, 100_000}, {long, 100_001}, {"short", 9}} {
		e := &config.Problem{File: "a.yaml", Line: 3, Column: c.column, Message: "is wrong", Source: c.source}
		lines := strings.Split(e.Error(), "\n")
		if len(lines) != 3 {
			t.Fatalf("column %d: %d lines: %q", c.column, len(lines), lines)
		}
		if n := utf8.RuneCountInString(lines[1]); n > config.MaxExcerpt+7 {
			t.Errorf("column %d: an excerpt of %d characters", c.column, n)
		}
		if strings.ContainsAny(lines[1], "\x1b\x07") {
			t.Errorf("the excerpt does something to a terminal: %q", lines[1])
		}
		if at := utf8.RuneCountInString(lines[2]); c.column <= len(c.source) && at > utf8.RuneCountInString(lines[1]) {
			t.Errorf("column %d: the pointer is at %d of %d", c.column, at, utf8.RuneCountInString(lines[1]))
		}
	}
}
