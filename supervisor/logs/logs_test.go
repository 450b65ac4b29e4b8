package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
)

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logged returns what output writes of the given lines in one format.
func logged(t *testing.T, format string, lines ...string) string {
	t.Helper()
	var out bytes.Buffer
	l, err := Open(config.Log{Format: format}, &out, &bytes.Buffer{}, true)
	if err != nil {
		t.Fatal(err)
	}
	var prefix atomic.Pointer[Prefix]
	prefix.Store(NewPrefix("web", 2, 7, 4711, "stdout"))
	write := l.Output(&prefix)
	for _, line := range lines {
		more := strings.HasSuffix(line, "…")
		write([]byte(strings.TrimSuffix(line, "…")), more)
	}
	l.Close()
	return out.String()
}

func TestOutputAsText(t *testing.T) {
	got := logged(t, "text", "hello", "", `{"a":1}`)
	want := "web/2[4711] hello\nweb/2[4711] \nweb/2[4711] {\"a\":1}\n"
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestOutputAsJSON(t *testing.T) {
	own := `{"msg": "mine",  "n":1}`
	got := logged(t, "json", own, "a \"b\"\x00\xff\t\u2028", `{"cut":…`, `"in two"}`, "{not json}", "{\"a\":\"\xff\"}")
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines, want 6: %q", len(lines), got)
	}
	if lines[0] != own {
		t.Errorf("a worker's JSON line became %q", lines[0])
	}
	messages := []string{1: "a \"b\"\x00\uFFFD\t\u2028", 2: `{"cut":`, 3: `"in two"}`, 4: "{not json}", 5: "{\"a\":\"\uFFFD\"}"}
	for i := 1; i < 6; i++ {
		var line struct {
			App, Stream, Message string
			Slot, Worker, PID    int
			Time                 time.Time
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatalf("%q: %v", lines[i], err)
		}
		if line.App != "web" || line.Slot != 2 || line.Worker != 7 || line.PID != 4711 || line.Stream != "stdout" {
			t.Errorf("%q does not say whose it is", lines[i])
		}
		if time.Since(line.Time).Abs() > time.Minute {
			t.Errorf("no time of day in %q", lines[i])
		}
		if line.Message != messages[i] {
			t.Errorf("message %q, want %q", line.Message, messages[i])
		}
	}
}

func TestLogLevelChangesWhileRunning(t *testing.T) {
	var out bytes.Buffer
	l, err := Open(config.Log{Format: "json", Level: "warn"}, nil, &out, true)
	if err != nil {
		t.Fatal(err)
	}
	l.Info().Msg("one")
	l.SetLevel("debug")
	l.Debug().Msg("two")
	l.SetLevel("no such word")
	l.Debug().Msg("three")
	l.Info().Msg("four")
	l.Close()
	for _, want := range []string{"two", "four"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	for _, unwanted := range []string{"one", "three"} {
		if strings.Contains(out.String(), unwanted) {
			t.Errorf("%q in %s", unwanted, &out)
		}
	}
	var line struct{ Time time.Time }
	first, _, _ := strings.Cut(out.String(), "\n")
	if err := json.Unmarshal([]byte(first), &line); err != nil || time.Since(line.Time) > time.Minute {
		t.Errorf("no time of day in %q (%v)", first, err)
	}
}

func TestLogFileIsReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tine.log")
	l, err := Open(config.Log{File: path}, nil, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	l.Info().Msg("before")
	// The sink writes in its own time; Close would end it. A reopened file shows what
	// it wrote in between only when it has.
	waitForContent(t, path, "before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Info().Msg("after")
	l.Close()
	if b, _ := os.ReadFile(path); !bytes.Contains(b, []byte("after")) || bytes.Contains(b, []byte("before")) {
		t.Errorf("the new file holds %q", b)
	}
	if _, err := Open(config.Log{File: filepath.Join(path, "no folder")}, nil, nil, true); err == nil {
		t.Error("a log file that cannot be opened was accepted")
	}
}

func waitForContent(t *testing.T, path, text string) {
	t.Helper()
	eventually.NoError(t, "the text is written", func() error {
		if b, err := os.ReadFile(path); !bytes.Contains(b, []byte(text)) {
			return fmt.Errorf("no %q in %s: %q, %v", text, path, b, err)
		}
		return nil
	})
}
