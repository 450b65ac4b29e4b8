package logs

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestPartialLines: the pieces of a line that is too long say so wherever they go, all but the last, so that they can be joined.
func TestPartialLines(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out syncBuffer
		l := newTestLogs(t, config.Log{Format: format}, &out, config.App{Name: "web"})
		print := l.printer("web", 0)
		print([]byte(`{"k":"aa`), true)
		print([]byte(`bb`), true)
		print([]byte(`cc"}`), false)
		print([]byte(`whole`), false)
		long := strings.Repeat("x", book.MaxPiece) + "y"
		print([]byte(long), false)
		l.out.Settle(0)
		joined := ""
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for _, line := range lines[:3] {
			var piece struct {
				Message string
				Partial bool
			}
			if format == "json" {
				if err := json.Unmarshal([]byte(line), &piece); err != nil {
					t.Fatal(err)
				}
			} else {
				piece.Message, _ = strings.CutPrefix(line, "web/0[100] ")
				piece.Message, piece.Partial = strings.CutSuffix(piece.Message, " [partial]")
			}
			joined += piece.Message
			if !piece.Partial {
				joined += "|"
			}
		}
		if joined != `{"k":"aabbcc"}|` || strings.Contains(lines[3], "partial") {
			t.Errorf("%s: %s in %q", format, joined, lines[:4])
		}
		// What is kept for those who ask has long lines in pieces too.
		var kept []string
		err := l.Lines(context.Background(), api.LogQuery{App: "web", Stream: api.StreamStdout}, func(line api.LogLine) error {
			if line.Partial {
				line.Text += "~"
			}
			kept = append(kept, line.Text)
			return nil
		})
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		want := []string{`{"k":"aa~`, `bb~`, `cc"}`, "whole", long[:book.MaxPiece] + "~", "y"}
		if strings.Join(kept, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: kept %.300q", format, kept)
		}
	}
}
