package logs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// aBackup makes a rotated file of path.
func aBackup(t *testing.T, path string, age time.Duration, text string) string {
	t.Helper()
	name := backupPath(path, time.Now().Add(-age))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestBackups: only names that a rotation gives are rotated files, and the newest comes first.
func TestBackups(t *testing.T) {
	for _, base := range []string{"web.log", "web", "w*b.tar.log", "-.log"} {
		path := filepath.Join(t.TempDir(), base)
		old, newer := aBackup(t, path, 2*time.Hour, "old"), aBackup(t, path, time.Hour, "newer")
		if err := os.Rename(old, old+".gz"); err != nil {
			t.Fatal(err)
		}
		ext := filepath.Ext(path)
		for _, other := range []string{path, path + ".gz", strings.TrimSuffix(path, ext) + "-api" + ext, beingZipped(old), newer + ".bak", strings.TrimSuffix(path, ext) + "-2026-01-02" + ext} {
			if err := os.WriteFile(other, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := backups(path)
		if len(got) != 2 || got[0].path != newer || got[0].zipped || got[1].path != old || !got[1].zipped {
			t.Errorf("%s: got %+v", base, got)
		}
	}
	if got := backups(filepath.Join(t.TempDir(), "no", "web.log")); got != nil {
		t.Errorf("of no folder: %+v", got)
	}
}

// TestCloseEndsCompression: Close does not wait for a large file, which stays complete and is compressed by the next process.
func TestCloseEndsCompression(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.log")
	large := aBackup(t, path, time.Hour, "one\n")
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	r := rotation{size: 1 << 20, keep: 3, compress: true}
	f, err := openLog(path, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the file is being compressed", func() bool { return exists(beingZipped(large)) })
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if !exists(large) || exists(large+".gz") || exists(beingZipped(large)) {
		t.Errorf("the file is there: %v, .gz: %v, unfinished: %v", exists(large), exists(large+".gz"), exists(beingZipped(large)))
	}
	if err := os.Truncate(large, 4); err != nil {
		t.Fatal(err)
	}
	if f, err = openLog(path, r, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	eventually.True(t, "the file is compressed", func() bool { return exists(large+".gz") && !exists(large) })
	if got := written(t, path); len(got) != 2 || got[0] != "one\n" {
		t.Errorf("got %q", got)
	}
}

// TestZipLeavesAFileToAnother: of two masters that have the same log file during an upgrade, one compresses a rotated file.
func TestZipLeavesAFileToAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.log")
	name := aBackup(t, path, time.Hour, "one\n")
	other, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Skipf("no locks here: %v", err)
	}
	zipper := newTidier(path, rotation{compress: true})
	if err := zipper.zip(name); err == nil || !exists(name) || exists(name+".gz") {
		t.Errorf("got %v", err)
	}
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := zipper.zip(name); err != nil || exists(name) || !exists(name+".gz") {
		t.Errorf("got %v", err)
	}
}

// TestRotationThatCannotMakeANewFile: the one that is open keeps its path.
func TestRotationThatCannotMakeANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.log")
	f, err := openLog(path, rotation{size: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := time.Now()
	if err := os.Mkdir(backupPath(path, at), 0o700); err != nil { // a file cannot be renamed to a folder
		t.Fatal(err)
	}
	if file, err := moveAside(path, f.file, at); err == nil {
		file.Close()
		t.Error("no error")
	}
	mustWrite(t, f, "one\n")
	if text, err := os.ReadFile(path); err != nil || string(text) != "one\n" {
		t.Errorf("%q, %v", text, err)
	}
}
