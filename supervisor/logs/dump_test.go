package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDumpIsPrivate(t *testing.T) {
	d := DumpFolder{path: filepath.Join(t.TempDir(), "new", "folder"), own: true}
	path, err := d.Write("web", "slot0-worker1-pid2", time.Now(), []byte("goroutine 1"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{path: 0o600, d.path: 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s is %04o, want %04o", path, got, want)
		}
	}
}

// TestDumpRefusesPreparedFolder: another user who makes the folder first would read what is written into it.
func TestDumpRefusesPreparedFolder(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{mine: "its mode is 0777", link: "it is not a folder"} {
		_, err := DumpFolder{path: path, own: true}.Write("web", "slot0", time.Now(), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("writing into %s gives %v, want %q", path, err, want)
		}
	}
}

func TestDumpsAreBounded(t *testing.T) {
	d := DumpFolder{path: t.TempDir()}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range keepDumps + 5 {
		for _, app := range []string{"web", "web-2"} {
			if _, err := d.Write(app, fmt.Sprintf("slot%d-worker1-pid1", i), at.Add(time.Duration(i)*time.Second), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	for _, e := range entries {
		app, _, _ := strings.Cut(strings.TrimPrefix(e.Name(), "dump-"), "-2026")
		kept[app]++
		if strings.Contains(e.Name(), "-slot4-") {
			t.Errorf("%s is kept, an older one than the newest %d", e.Name(), keepDumps)
		}
	}
	if kept["web"] != keepDumps || kept["web-2"] != keepDumps {
		t.Errorf("kept %v, want %d of each app", kept, keepDumps)
	}
}

func TestHeadOf(t *testing.T) {
	if got := HeadOf([]byte("one\ntwo\n"), 100); got != "one\ntwo\n" {
		t.Errorf("short text became %q", got)
	}
	if got := HeadOf([]byte("one\ntwo\nthree\n"), 10); got != "one\ntwo\n... 6 bytes more in the file\n" {
		t.Errorf("long text became %q", got)
	}
}
