package supervisor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSameFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if !sameFile(w, w) || sameFile(w, os.Stdin) || sameFile(w, &gate{}) {
		t.Error("a pipe is not the same as itself, or is as something else")
	}
}

// TestFreshLines: what a killed master has left unfinished is ended, and nothing else.
func TestFreshLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for content, want := range map[string]string{"": "", "whole\n": "whole\n", "torn": "torn\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLogs(Log{}, f, f)
		if err != nil {
			t.Fatal(err)
		}
		l.freshLines()
		l.Close()
		f.Close()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", content, got, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if !mayEndCut(w) {
		t.Error("of a pipe nobody knows")
	}
}
