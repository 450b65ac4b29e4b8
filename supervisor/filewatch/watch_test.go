package filewatch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
)

func TestDebounce(t *testing.T) {
	t0 := time.Unix(1000, 0)
	ms := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Millisecond) }
	type change struct {
		at   int
		file string
	}
	for name, c := range map[string]struct {
		changes []change
		due     int
		text    string
	}{
		"one":          {[]change{{0, "a"}}, 200, "a"},
		"twice":        {[]change{{0, "a"}, {100, "a"}}, 300, "a"},
		"two":          {[]change{{0, "a"}, {150, "b"}}, 350, "a and 1 more"},
		"many":         {[]change{{0, "a"}, {10, "b"}, {20, "c"}, {30, "b"}}, 230, "a and 2 more"},
		"never quiet":  {[]change{{0, "a"}, {190, "a"}, {4900, "a"}}, 5000, "a"},
		"nothing then": {nil, -1, ""},
	} {
		d := debounce{quiet: 200 * time.Millisecond}
		for _, ch := range c.changes {
			d.add(ms(ch.at), ch.file)
		}
		if c.due < 0 {
			if !d.deadline().IsZero() {
				t.Errorf("%s: due", name)
			}
			continue
		}
		if got := d.deadline(); !got.Equal(ms(c.due)) {
			t.Errorf("%s: due at %s", name, got.Sub(t0))
		}
		if got, storm := d.take(ms(c.due)); got != c.text || storm || !d.deadline().IsZero() {
			t.Errorf("%s: %q, %v", name, got, storm)
		}
	}
}

// TestDebounceOfAStorm: a worker that writes, as soon as it runs, into what is watched is replaced ever more seldom.
func TestDebounceOfAStorm(t *testing.T) {
	d := debounce{quiet: 200 * time.Millisecond}
	now := time.Unix(1000, 0)
	told, storms := 0, 0
	for end := now.Add(10 * time.Minute); now.Before(end); told++ {
		now = now.Add(100 * time.Millisecond)
		d.add(now, "log.txt")
		now = d.deadline()
		if _, storm := d.take(now); storm {
			storms++
		}
	}
	if storms != 1 || told > stormFree+5+20 || told < stormFree+15 {
		t.Errorf("told %d times in ten minutes, %d storms", told, storms)
	}
	now = now.Add(mostStorm + stormSpan)
	d.add(now, "main.go")
	if at := d.deadline(); at.Sub(now) != d.quiet {
		t.Errorf("a change after it waits %s", at.Sub(now))
	}
	if d.take(now); d.pace() != 0 {
		t.Errorf("still paced by %s", d.pace())
	}
}

func TestIgnored(t *testing.T) {
	for below, want := range map[string]bool{
		"main.go": false, ".git": true, ".git/HEAD": true, "a/node_modules/b/c.js": true, "a/x.log": true, "main.go~": true,
		"tmp/a": true, "web/dist": true, "web/dist/a.js": true, "dist/a.js": false, "a/web/dist": false, "logs.go": false,
	} {
		if got := ignored(below, []string{"tmp", "/web/dist/"}); got != want {
			t.Errorf("%s: %v", below, got)
		}
	}
}

// TestWatchFiles: folders that come later, editors that replace a file, what is ignored.
func TestWatchFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		putFile(t, filepath.Join(dir, name), text)
	}
	for _, f := range []string{"src", ".git", "conf"} {
		if err := os.Mkdir(filepath.Join(dir, f), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put("conf/a.yaml", "1")
	ctx, cancel := context.WithCancel(context.Background())
	ready, changes, troubles, ended := make(chan int, 1), make(chan string, 10), make(chan error, 10), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, config.Watch{Paths: []string{filepath.Join(dir, "src"), filepath.Join(dir, "conf/a.yaml"), filepath.Join(dir, "none")}, Debounce: 20 * time.Millisecond},
			func(n int) { ready <- n }, func(what string) { changes <- what }, func(err error) { troubles <- err })
	}()
	defer func() { cancel(); <-ended }()
	next := func() string {
		t.Helper()
		return eventually.Receive(t, "a change is noticed", changes)
	}
	if err := <-troubles; !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
	if n := <-ready; n < 2 {
		t.Errorf("%d folders", n)
	}
	put("src/a.go", "x")
	if c := next(); !strings.HasSuffix(c, "src/a.go") {
		t.Errorf("%q", c)
	}
	// A folder that comes with something in it.
	if err := os.MkdirAll(filepath.Join(dir, "new/deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	put("new/deep/b.go", "x")
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "src/new")); err != nil {
		t.Fatal(err)
	}
	next()
	put("src/new/deep/b.go", "y")
	if c := next(); !strings.HasSuffix(c, "b.go") {
		t.Errorf("%q", c)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "src/a.go"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "src/a.go"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "src/new/deep/b.go"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if c := next(); !strings.HasSuffix(c, "b.go") {
		t.Errorf("%q", c)
	}
	// What does not count, and then what does.
	put("src/x.log", "x")
	put("conf/other.yaml", "x")
	put(".git/HEAD", "x")
	put("conf/tmp", "2")
	if err := os.Rename(filepath.Join(dir, "conf/tmp"), filepath.Join(dir, "conf/a.yaml")); err != nil {
		t.Fatal(err)
	}
	if c := next(); !strings.HasSuffix(c, "conf/a.yaml") {
		t.Errorf("%q", c)
	}
	put("conf/a.yaml", "3")
	if c := next(); !strings.HasSuffix(c, "conf/a.yaml") {
		t.Errorf("%q", c)
	}
}
