package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/claim"
)

// TestSocketElsewhere: a folder that another program has to make again, as /run/user/1000 after a logout. The master answers
// all the same, at an address that its claim tells, and at its path as soon as the folder is there and safe.
func TestSocketElsewhere(t *testing.T) {
	t.Setenv(claim.EnvWorld, folder(t))
	place := folder(t)
	s, c := serve(t, &fake{}, func(o *Options) {
		o.Path, o.Elsewhere = filepath.Join(place, "user", "tine", "web.sock"), true
	})
	held, err := claim.Take(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := held.Serve(func() claim.About { return claim.About{Name: "web", PID: 7, Control: s.Address()} }); err != nil {
		t.Fatal(err)
	}
	found := func(when, path string) {
		t.Helper()
		if all := Discover(t.Context()); len(all) != 1 || !all[0].Alive || all[0].Name != "web" || all[0].PID != 7 || all[0].Path != path || all[0].Near {
			t.Fatalf("%s: Discover = %+v, want %s", when, all, path)
		}
	}
	found("as it is", s.Path())
	c.Close()
	user := filepath.Join(place, "user")
	if err := os.RemoveAll(user); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Renew(); again || !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("made again: %v, %v", again, err)
	}
	elsewhere := s.Address()
	if !isAbstract(elsewhere) {
		t.Fatalf("it listens at %s", elsewhere)
	}
	found("without its folder", elsewhere)
	other := NewClient(elsewhere)
	if _, err := other.Status(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
	other.Close()

	// A folder that others can change is not used, and its failure is not told again and again.
	if err := errors.Join(os.Mkdir(user, 0o700), os.Chmod(user, 0o777)); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Renew(); again || err != nil || s.Address() != elsewhere {
		t.Fatalf("in a folder that others can change: %v, %v, %s", again, err, s.Address())
	}
	if _, err := os.Lstat(filepath.Join(user, "tine")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made there: %v", err)
	}
	if err := os.Chmod(user, 0o700); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Renew(); !again || err != nil || s.Address() != s.Path() {
		t.Fatalf("made again: %v, %v, %s", again, err, s.Address())
	}
	found("with its folder again", s.Path())
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(s.Path())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

// TestDiscoverNear: what is in the folder that the environment names is near, wherever else masters are; one without a control
// socket is told as such.
func TestDiscoverNear(t *testing.T) {
	dir := folder(t)
	t.Setenv(claim.EnvWorld, dir)
	start(t, New(&fake{}, Options{Path: DefaultPath("near")}))
	far, _ := serve(t, &fake{})
	for name, about := range map[string]claim.About{
		"far": {Name: "far", PID: 1, Control: far.Path(), Place: far.Path()}, "off": {Name: "off", PID: 2},
	} {
		held, err := claim.Take(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := held.Serve(func() claim.About { return about }); err != nil {
			t.Fatal(err)
		}
	}
	all := Discover(t.Context())
	if len(all) != 3 || !all[0].Alive || all[0].Near || all[0].Path != far.Path() ||
		all[1].Name != "near" || !all[1].Alive || !all[1].Near ||
		all[2].Alive || all[2].PID != 2 || !errors.Is(all[2].Err, ErrNotRunning) || !strings.Contains(all[2].Err.Error(), "no control socket") {
		t.Errorf("Discover = %+v", all)
	}
}
