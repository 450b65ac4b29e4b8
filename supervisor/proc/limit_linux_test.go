package proc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFullControlGroup(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("membership", "12:cpu:/x\n0::/a/b\n")
	write("a/b/pids.max", "max\n")
	write("a/b/pids.current", "7\n")
	write("a/pids.max", "9\n")
	write("a/pids.current", "8\n")
	member := filepath.Join(root, "membership")
	if got := fullPidsGroup(member, root); got != "" {
		t.Errorf("%q is called full", got)
	}
	write("a/pids.current", "9\n")
	if got, want := fullPidsGroup(member, root), filepath.Join(root, "a"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
