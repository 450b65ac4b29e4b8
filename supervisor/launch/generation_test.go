package launch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/proc"
)

func TestEnvironmentWeakestFirst(t *testing.T) {
	file := writeFile(t, "KEY=file\nONLY_FILE=1\n")
	c := config.App{Workers: 1, EnvFiles: []string{file}, Env: map[string]string{"KEY": "app"}}
	env, err := Environment(c, []string{"KEY=master", "ONLY_MASTER=1", "TINE_WORKERS=8", "NOTIFY_SOCKET=/x", "GOMAXPROCS=7"})
	if err != nil {
		t.Fatal(err)
	}
	command, err := proc.Resolve(proc.Spec{Command: []string{"/bin/sh"}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	env = command.Env
	for _, want := range []string{"KEY=app", "ONLY_FILE=1", "ONLY_MASTER=1", "GOMAXPROCS=7", "TINE_CHANNEL_FD=3"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
	for _, leaked := range []string{"TINE_WORKERS=8", "NOTIFY_SOCKET=/x"} {
		if slices.Contains(env, leaked) {
			t.Errorf("the master's %s reached a worker", leaked)
		}
	}
	keys := map[string]int{}
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		if keys[key]++; keys[key] > 1 {
			t.Errorf("%s stands there twice: which one a program takes is anybody's guess", key)
		}
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
