package master

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

func TestWatchRollsAndEndsWithTheApp(t *testing.T) {
	dir := t.TempDir()
	m := startMaster(t, func(c *config.Config) {
		c.Apps[0].Watch = config.Watch{Paths: []string{dir}, Debounce: 30 * time.Millisecond}
	})
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(m.log.String(), "watching files") && time.Now().Before(deadline) {
		m.status()
	}
	mark := m.lastEvent()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := m.await(mark, of("web", "rollout begin"))
	if e.Reason != "watch: "+file {
		t.Errorf("%+v", e)
	}
	m.await(e.ID, of("web", "rollout done"))
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
}
