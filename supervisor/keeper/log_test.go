package keeper

import (
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
	l := newLogger(w)
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
