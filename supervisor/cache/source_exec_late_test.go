package cache

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// The process may not have run between a command's exit and the deadline for its output.
func TestWhatWasPrintedIsReadAfterTheDeadline(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close() // still open: a stranger holds the pipe
	printed := strings.Repeat("x", 50_000)
	if _, err := io.WriteString(w, printed); err != nil {
		t.Fatal(err)
	}
	r.SetReadDeadline(time.Now().Add(-time.Second))
	if got, err := io.ReadAll(readToDeadline(r)); err != nil || string(got) != printed {
		t.Errorf("%d bytes of %d: %v", len(got), len(printed), err)
	}
}

func TestAStrangerThatNeverStopsPrintingIsLeft(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	r.SetReadDeadline(time.Now().Add(-time.Second))
	if got, err := io.ReadAll(readToDeadline(r)); err != nil || len(got) > maxLate {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	r.Close()
	<-ended
	w.Close()
}
