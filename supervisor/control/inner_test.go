package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/claim"
)

// The folder is beside the control socket, and this user's alone. Names that are too long for a socket are shortened, in the temporary folder
// if need be, and that is said; two apps, or two masters, never share a prefix.
func TestInnerFolder(t *testing.T) {
	world, temp := t.TempDir(), t.TempDir()
	t.Setenv(claim.EnvWorld, world)
	t.Setenv("TMPDIR", temp)
	most := func(n int) func(string) bool { return func(prefix string) bool { return len(prefix) <= n } }

	prefix, why, err := InnerFolder("web", "api", most(1000))
	if err != nil || why != "" || prefix != filepath.Join(world, "web.inner", "api.") {
		t.Fatalf("%s, %q, %v", prefix, why, err)
	}
	dir := filepath.Dir(prefix)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := InnerFolder("web", "api", most(1000)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info, err)
	}

	seen := map[string]bool{}
	app := strings.Repeat("a", 60)
	for _, c := range []struct{ master, app string }{{"web", app}, {"web", app + "b"}, {"web2", app}} {
		prefix, why, err := InnerFolder(c.master, c.app, most(len(world)+40))
		if err != nil || !strings.HasPrefix(prefix, world) || !strings.Contains(why, "too long for a socket") || seen[prefix] {
			t.Errorf("a long name: %s, %q, %v", prefix, why, err)
		}
		seen[prefix] = true
	}

	deep := filepath.Join(world, strings.Repeat("d", 100))
	t.Setenv(claim.EnvWorld, deep)
	prefix, why, err = InnerFolder("web", "api", most(len(temp)+50))
	if err != nil || !strings.HasPrefix(prefix, temp) || !strings.Contains(why, prefix) {
		t.Errorf("a long folder: %s, %q, %v", prefix, why, err)
	}
	if _, _, err := InnerFolder("web", "api", most(10)); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("no folder is short enough: %v", err)
	}

	// What others could change is not used.
	t.Setenv(claim.EnvWorld, world)
	open := filepath.Join(world, "open.inner")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := InnerFolder("open", "api", most(1000)); err == nil || !strings.Contains(err.Error(), "can be changed by others") {
		t.Errorf("a folder that others can change: %v", err)
	}
}
