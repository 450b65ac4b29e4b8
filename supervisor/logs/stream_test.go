package logs

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
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
		l, err := Open(config.Log{}, f, f, true)
		if err != nil {
			t.Fatal(err)
		}
		l.FreshLines()
		l.Close()
		f.Close()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", content, got, err)
		}
	}
}

// TestPipeWriter: two writers of many lines into one pipe do not tear each other's lines, nor does a third one that writes single
// lines.
func TestPipeWriter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const rounds = 50
	lines := map[string]int{}
	var batch []byte
	for i, n := range []int{0, 1, 100, 2000, 4094, 4095, 10, 3000} {
		line := strconv.Itoa(i) + strings.Repeat("x", n)
		lines[line] = 2 * rounds
		batch = append(batch, line+"\n"...)
	}
	lines["between"] = rounds
	var writing sync.WaitGroup
	for _, words := range []string{string(batch), string(batch), "between\n"} {
		writing.Go(func() {
			out := stream(w)
			for range rounds {
				if n, err := out.Write([]byte(words)); n != len(words) || err != nil {
					t.Errorf("wrote %d of %d bytes: %v", n, len(words), err)
				}
			}
		})
	}
	go func() { writing.Wait(); w.Close() }()
	in := bufio.NewScanner(r)
	for in.Scan() {
		lines[in.Text()]--
	}
	for line, missing := range lines {
		if missing != 0 {
			t.Errorf("%d too few of %.20q (%d bytes)", missing, line, len(line))
		}
	}
}

// A line that is longer than what a pipe takes as one is written all the same, and alone.
func TestPipeWriterLongLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := "a\n" + strings.Repeat("b", 3*pipeBuf) + "\nc\nrest"
	if _, err := stream(w).Write([]byte(want)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("got %d bytes, want %d, %v", len(got), len(want), err)
	}
}
