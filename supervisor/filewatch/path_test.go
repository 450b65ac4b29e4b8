package filewatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
)

func TestLookUp(t *testing.T) {
	links := map[string]string{"/srv/current": "releases/2", "/srv/releases/2": "/data/b", "/loop": "loop", "/up": "srv/../data"}
	there := []string{"/srv", "/srv/releases", "/data", "/data/b", "/data/b/conf"}
	read := func(entry string) (string, bool, error) {
		if target, ok := links[entry]; ok {
			return target, true, nil
		}
		if slices.Contains(there, entry) {
			return "", false, nil
		}
		return "", false, os.ErrNotExist
	}
	for p, want := range map[string]struct {
		steps, real string
	}{
		"/srv/current/conf": {"/srv /srv/current /srv/releases /srv/releases/2 /data /data/b /data/b/conf", "/data/b/conf"},
		"/srv/current/none": {"/srv /srv/current /srv/releases /srv/releases/2 /data /data/b /data/b/none", ""},
		"/none/a/b":         {"/none", ""},
		"/up/b":             {"/up /srv /data /data/b", "/data/b"},
		"/":                 {"", "/"},
	} {
		steps, real, err := lookUp(p, read)
		if got := strings.Join(steps, " "); got != want.steps || real != want.real || (err != nil) != (real == "") {
			t.Errorf("%s: %s, %q, %v", p, got, real, err)
		}
	}
	if _, _, err := lookUp("/loop/x", read); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a circle: %v", err)
	}
}

// TestWatchFollowsPaths: what a path leads to is watched, and what it led to no longer, whichever of its entries is turned,
// replaced, removed or comes late.
func TestWatchFollowsPaths(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(name string) { t.Helper(); putFile(t, at(name), name) }
	for _, d := range []string{"a/conf", "b/conf", "deep/er", "globs"} {
		must(os.MkdirAll(at(d), 0o700))
	}
	put("a/conf/f")
	put("b/conf/f")
	put("deep/er/file")
	must(os.Symlink("a", at("current")))
	ctx, cancel := context.WithCancel(context.Background())
	ready, changes, troubles, ended := make(chan int, 1), make(chan string, 100), make(chan error, 10), make(chan struct{})
	go func() {
		defer close(ended)
		paths := []string{at("current/conf"), at("deep/er/file"), at("later/on"), at("globs/*.go")}
		Watch(ctx, config.Watch{Paths: paths, Debounce: 20 * time.Millisecond},
			func(n int) { ready <- n }, func(what string) { changes <- what }, func(err error) { troubles <- err })
	}()
	defer func() { cancel(); <-ended }()
	for _, want := range []string{"later/on", "nothing matches " + at("globs/*.go")} {
		if err := <-troubles; !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	<-ready
	// Each step is told apart by the file that was changed last, so that what must not count is seen with it.
	next := func(step, want string, also ...string) {
		t.Helper()
		late := time.After(eventually.Patience())
		for {
			select {
			case c := <-changes:
				if strings.HasPrefix(c, at(want)) {
					return
				}
				if !slices.ContainsFunc(also, func(a string) bool { return strings.HasPrefix(c, at(a)) }) {
					t.Fatalf("%s: %s has changed", step, c)
				}
			case <-late:
				t.Fatalf("%s: no change noticed", step)
			}
		}
	}
	turn := func(target string) {
		t.Helper()
		must(os.Symlink(target, at("new")))
		must(os.Rename(at("new"), at("current")))
	}
	put("a/conf/f")
	next("at first", "a/conf/f")
	turn("b")
	next("turned", "current")
	put("a/conf/f") // of no interest now
	put("b/conf/f")
	next("in the new folder", "b/conf/f")
	must(os.Rename(at("b"), at("old")))
	must(os.MkdirAll(at("b2/conf"), 0o700))
	put("b2/conf/f")
	must(os.Rename(at("b2"), at("b")))
	next("made anew above", "b")
	put("old/conf/f") // of no interest now
	put("b/conf/f")
	next("in what was made anew", "b/conf/f")
	must(os.RemoveAll(at("deep")))
	next("removed", "deep")
	must(os.MkdirAll(at("deep/er"), 0o700))
	put("deep/er/file")
	next("there again", "deep")
	put("deep/er/tmp")
	must(os.Rename(at("deep/er/tmp"), at("deep/er/file")))
	next("replaced", "deep/er/file")
	must(os.MkdirAll(at("later/on/and"), 0o700))
	next("late", "later")
	put("later/on/and/on")
	next("in what came late", "later/on/and/on", "later")
	put("globs/x.txt") // does not match
	put("globs/x.go")
	next("a pattern", "globs/x.go")
}
