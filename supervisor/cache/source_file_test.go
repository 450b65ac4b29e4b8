package cache

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

func write(t *testing.T, path, text string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsReadWhenItChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	s := File(path).(*fileSource)
	defer s.Close()
	check(t, s, "", "no such file")
	write(t, path, "one\n", time.Hour)
	check(t, s, "one\n", "")
	first := s.last
	check(t, s, "one\n", "")
	if s.last != first {
		t.Error("an unchanged file was read again")
	}
	write(t, path, "two\n", time.Minute) // same size, other time
	check(t, s, "two\n", "")
	if s.last == first {
		t.Error("a changed file was not read again")
	}

	// Same size, same time, other file.
	other := path + ".new"
	write(t, other, "3ed\n", 0)
	info, _ := os.Stat(path)
	os.Chtimes(other, info.ModTime(), info.ModTime())
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	check(t, s, "3ed\n", "")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check(t, s, "", "no such file")
	write(t, path, "", 0)
	check(t, s, "", "")
}

func TestFileThatWasJustWrittenIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	s := File(path).(*fileSource)
	defer s.Close()
	write(t, path, "1", 0)
	check(t, s, "1", "")
	info, _ := os.Stat(path)
	write(t, path, "2", 0)
	// As if both had been written within one tick of the file system's clock.
	os.Chtimes(path, info.ModTime(), info.ModTime())
	check(t, s, "2", "")
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, File(fifo), "", "is not a regular file")
	check(t, File(dir), "", "is not a regular file")
}

func TestFileOverTheLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	write(t, path, "12345", 0)
	s := File(path).(*fileSource)
	s.limit = 4
	check(t, s, "", "more than the limit of 4 bytes")
}

func TestFileLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	content := strings.Repeat("x", 3*ipc.InlineMax)
	write(t, path, content, time.Hour)
	s := File(path).(*fileSource)
	defer s.Close()
	check(t, s, content, "")
	check(t, s, content, "")
}
