package control

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
)

func TestNobodyIsThere(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "web.sock"))
	defer c.Close()
	if _, err := c.Status(context.Background()); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("Status without a master: %v, want ErrNotRunning", err)
	}
	if err := c.Do(context.Background(), api.Order{Verb: api.VerbReload}, nil); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("Do without a master: %v, want ErrNotRunning", err)
	}
}

func TestDefaultPath(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	for name, want := range map[string]string{
		"web": "/run/user/7/tine/web.sock",
		"":    "/run/user/7/tine/tine.sock",
	} {
		if got := DefaultPath(name); got != want {
			t.Errorf("DefaultPath(%q) = %s, want %s", name, got, want)
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"../../etc", "..", ".", "a/b", "a b", "a-b", strings.Repeat("x", 200), strings.Repeat("x", 201), "\x00", "ü"} {
		path := DefaultPath(name)
		if filepath.Dir(path) != "/run/user/7/tine" || len(filepath.Base(path)) > 70 {
			t.Errorf("DefaultPath(%q) = %s", name, path)
		}
		if other, ok := seen[path]; ok {
			t.Errorf("%q and %q have the same path %s", name, other, path)
		}
		seen[path] = name
	}
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	if path := DefaultPath("web"); !filepath.IsAbs(path) {
		t.Errorf("DefaultPath = %s", path)
	}
}

// TestScaleToNothing: 0 is a number of workers too.
func TestScaleToNothing(t *testing.T) {
	for _, order := range []api.Order{{Verb: api.VerbScale, App: "web"}, {Verb: api.VerbScale, App: "web", By: true, Reason: "none"}, {Verb: api.VerbScale, App: "web", N: 4}} {
		f := &fake{}
		_, c := serve(t, f)
		if err := c.Do(boundedContext(t), order, nil); err != nil {
			t.Errorf("%+v: %v", order, err)
		}
	}
}
