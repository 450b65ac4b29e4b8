package keeper

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

type stuckWriter struct {
	release chan struct{}
	lines   []string
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	<-w.release
	w.lines = append(w.lines, string(b))
	return len(b), nil
}

// A reader that has stopped reading does not stop the keeper.
func TestLogNeverBlocks(t *testing.T) {
	w := &stuckWriter{release: make(chan struct{})}
	l := newLogger(w, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3 * logQueue {
			l.say("a line")
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the log blocks")
	}
	close(w.release)
	// The queue empties; the next line that finds room says what was lost.
	for deadline := time.Now().Add(10 * time.Second); l.dropped > 0; {
		l.say("the last line")
		if time.Now().After(deadline) {
			t.Fatal("no room in the queue")
		}
	}
	l.close()
	text := strings.Join(w.lines, "")
	if !strings.HasPrefix(text, "keeper: a line\n") || !strings.Contains(text, "lines before this one were lost)\n") {
		t.Errorf("the log:\n%s", text)
	}
}

// What was said before a process is aborted is written before it; a reader that has stopped does not hold the keeper up.
func TestLogSettles(t *testing.T) {
	w := &stuckWriter{release: make(chan struct{})}
	l := newLogger(w, false)
	l.settle()
	l.say("one")
	l.say("two")
	begun := time.Now()
	l.settle()
	if took := time.Since(begun); took < logPause || took > 10*time.Second {
		t.Errorf("returned after %s although nothing is written", took)
	}
	close(w.release)
	for deadline := time.Now().Add(10 * time.Second); l.pending.Load() > 0 && time.Now().Before(deadline); {
		l.settle()
	}
	if l.close(); len(w.lines) != 2 {
		t.Errorf("the log: %q", w.lines)
	}
}

func TestLogObjects(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	for _, text := range []string{"keeper: a", "a \"b\" \\ \x00\n\t\x1f", "\xff broken \xc3", "ü\u2028€😀"} {
		var line struct {
			Level, Time, Message string
			Keeper               int
		}
		got := object(text, text == "keeper: a", now)
		if err := json.Unmarshal([]byte(got), &line); err != nil {
			t.Errorf("%s: %v", got, err)
		}
		level := "warn"
		if text == "keeper: a" {
			level = "info"
		}
		want := strings.ToValidUTF8(text, "\uFFFD")
		if line.Message != want || line.Level != level || line.Keeper != os.Getpid() || line.Time != "2026-01-02T03:04:05.006Z" || strings.Contains(got, "\n") {
			t.Errorf("%q became %s", text, got)
		}
	}
}
