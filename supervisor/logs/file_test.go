package logs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
)

// written returns what a log file and those that were rotated hold, oldest first.
func written(t *testing.T, path string) (files []string) {
	t.Helper()
	ext := filepath.Ext(path)
	names, err := filepath.Glob(strings.TrimSuffix(path, ext) + "-*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range append(names, path) {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // it is being compressed
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				continue // it is being written
			}
			if text, err = io.ReadAll(r); err != nil {
				continue
			}
		}
		files = append(files, string(text))
	}
	return files
}

func mustWrite(t *testing.T, f *logFile, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(f, format, args...); err != nil {
		t.Fatal(err)
	}
}

func newTestFile(t *testing.T, r rotation) *logFile {
	t.Helper()
	f, err := openLog(filepath.Join(t.TempDir(), "web.log"), r, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestLogFolderIsMade: /var/log may be empty after a boot.
func TestLogFolderIsMade(t *testing.T) {
	dir := t.TempDir()
	c := config.Log{Format: "json", File: filepath.Join(dir, "log", "tine", "tine.log")}
	l, err := Open(c, nil, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	app := config.App{Name: "web", Log: config.AppLog{File: filepath.Join(dir, "log", "web", "web.log")}}
	if err := l.SetApps([]config.App{app}, true); err != nil {
		t.Error(err)
	}
	l.Info().Msg("hello")
	l.Close()
	for _, path := range []string{c.File, app.Log.File} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(c.File); err != nil || !strings.Contains(string(text), "hello") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestLogFileThatCannotBeOpened: a start is refused. Where workers wait for a master it goes on, says so once, and writes
// as soon as it can.
func TestLogFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "log")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Log{Format: "json", File: filepath.Join(inTheWay, "tine.log")}
	if _, err := Open(c, nil, nil, true); err == nil || !strings.Contains(err.Error(), inTheWay) {
		t.Errorf("got %v", err)
	}
	var stderr bytes.Buffer
	l, err := Open(c, nil, &stderr, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, inTheWay) || !strings.Contains(got, "lost") {
		t.Errorf("said %q", got)
	}
	l.Info().Msg("it is not seen")
	l.err.Settle(time.Minute)
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	l.Info().Msg("seen")
	l.Close()
	text, err := os.ReadFile(c.File)
	if err != nil || !strings.Contains(string(text), `"log lines lost"`) || !strings.Contains(string(text), "seen") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestLogFileRotatesBySize(t *testing.T) {
	f := newTestFile(t, rotation{size: 100})
	var want strings.Builder
	for i := range 30 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i))
		want.WriteString(line)
		mustWrite(t, f, "%s", line)
	}
	// Many at once, and one that is longer than a file may be.
	many := strings.Repeat("many\n", 100) + strings.Repeat("y", 250) + "\nend\n"
	want.WriteString(many)
	mustWrite(t, f, "%s", many)
	files := written(t, f.path)
	if got := strings.Join(files, ""); got != want.String() {
		t.Errorf("got %q, want %q", got, want.String())
	}
	if len(files) < 10 {
		t.Errorf("only %d files", len(files))
	}
	for _, text := range files {
		if len(text) > 100 && strings.Count(text, "\n") > 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("a file of %d bytes: %q", len(text), text)
		}
	}
}

func TestLogFileKeepsAndCompresses(t *testing.T) {
	f := newTestFile(t, rotation{size: 100, keep: 3, compress: true})
	for i := range 100 {
		mustWrite(t, f, "line %02d %90s\n", i, "")
	}
	want := []string{"line 96", "line 97", "line 98", "line 99"}
	eventually.NoError(t, "the rotated files are compressed and the old ones removed", func() error {
		var got []string
		for _, text := range written(t, f.path) {
			got = append(got, text[:min(7, len(text))])
		}
		zipped, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), "*.gz"))
		if !slices.Equal(got, want) || len(zipped) != 3 {
			return fmt.Errorf("%q are left, %d of them compressed; want %q", got, len(zipped), want)
		}
		return nil
	})
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLogFileRotatesByAge(t *testing.T) {
	f := newTestFile(t, rotation{age: time.Hour})
	mustWrite(t, f, "one\n")
	f.began = f.began.Add(-59 * time.Minute)
	mustWrite(t, f, "two\n")
	f.began = f.began.Add(-2 * time.Minute)
	mustWrite(t, f, "three\n")
	mustWrite(t, f, "four\n")
	if got := written(t, f.path); !slices.Equal(got, []string{"one\ntwo\n", "three\nfour\n"}) {
		t.Fatalf("got %q", got)
	}
	// Its age is known after a restart: it began when the one before was rotated.
	f.Close()
	again, err := openLog(f.path, f.rotation, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if d := time.Since(again.began); d < 0 || d > time.Minute || again.size != int64(len("three\nfour\n")) {
		t.Errorf("began %s ago with %d bytes", d, again.size)
	}
	old := time.Now().Add(-2 * time.Hour)
	names, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), "web-*"))
	if err := os.Rename(names[0], strings.TrimSuffix(f.path, ".log")+"-"+old.UTC().Format(backupTime)+".log"); err != nil {
		t.Fatal(err)
	}
	if err := again.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, again, "five\n")
	if got := written(t, f.path); !slices.Equal(got, []string{"one\ntwo\n", "three\nfour\n", "five\n"}) {
		t.Errorf("got %q", got)
	}
}

func TestLogFileThatIsGoneIsMadeAgain(t *testing.T) {
	for _, r := range []rotation{{}, {size: 1 << 20}} {
		f := newTestFile(t, r)
		f.path = filepath.Join(filepath.Dir(f.path), "folder", "web.log")
		if f = newLogFile(f.path, r, nil); f.file != nil {
			t.Fatal("it is open")
		}
		mustWrite(t, f, "one\n")
		for _, gone := range []func() error{
			func() error { return os.Remove(f.path) },
			func() error { return os.RemoveAll(filepath.Dir(f.path)) },
			func() error { return os.Rename(f.path, f.path+".1") },
		} {
			if err := gone(); err != nil {
				t.Fatal(err)
			}
			f.checked = time.Time{}
			mustWrite(t, f, "two\n")
			if got, err := os.ReadFile(f.path); err != nil || string(got) != "two\n" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		f.Close()
	}
}

func TestLogFileThatCannotBeRotated(t *testing.T) {
	var said []error
	// With the time in it, the name is longer than one may be.
	f, err := openLog(filepath.Join(t.TempDir(), strings.Repeat("x", 240)+".log"), rotation{size: 10}, func(err error) { said = append(said, err) })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mustWrite(t, f, "one line\n")
	mustWrite(t, f, "two lines\nthree lines\n")
	mustWrite(t, f, "four lines\n")
	if got := written(t, f.path); !slices.Equal(got, []string{"one line\ntwo lines\nthree lines\nfour lines\n"}) {
		t.Errorf("got %q", got)
	}
	if len(said) != 1 || !strings.Contains(said[0].Error(), "cannot rotate the log file "+f.path) {
		t.Errorf("said %v", said)
	}
}

func TestLogFileEndsALineThatWasCut(t *testing.T) {
	f := newTestFile(t, rotation{})
	mustWrite(t, f, "half a li")
	mustWrite(t, f, "a line\n")
	if got := written(t, f.path); !slices.Equal(got, []string{"half a li\na line\n"}) {
		t.Errorf("got %q", got)
	}
}

func TestLogFileIsReopenedAndKeptOnError(t *testing.T) {
	for _, r := range []rotation{{}, {size: 1 << 20}} {
		f := newTestFile(t, r)
		mustWrite(t, f, "one\n")
		if err := os.Rename(f.path, f.path+".1"); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, f, "two\n")
		if err := os.Mkdir(f.path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := f.Reopen(); err == nil {
			t.Error("a folder was opened as a log file")
		}
		mustWrite(t, f, "three\n")
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		if err := f.Reopen(); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, f, "four\n")
		old, _ := os.ReadFile(f.path + ".1")
		now, _ := os.ReadFile(f.path)
		if string(old) != "one\ntwo\nthree\n" || string(now) != "four\n" {
			t.Errorf("%+v: got %q and %q", r, old, now)
		}
	}
}
