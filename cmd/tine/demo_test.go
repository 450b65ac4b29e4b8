//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// setting is what this test was built with: a build with the same flags finds all its
// parts compiled.
func setting(name, without string) string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == name {
			return s.Value
		}
	}
	return without
}

// TestQuickstart does what the README shows, with the demo itself: its answer, a user
// more, a rollout, a kill -9, Ctrl-C.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	demo := filepath.Join(dir, "demo")
	if out, err := exec.Command("go", "build", "-race="+setting("-race", "false"), "-o", demo, "../demo").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the demo: %v\n%s", err, out)
	}
	if out, err := exec.Command(demo, "-setup", "-db", filepath.Join(dir, "demo.db")).CombinedOutput(); err != nil {
		t.Fatalf("cannot set up the database: %v\n%s", err, out)
	}
	write(t, dir, "tine.yaml", `
name: demo
apps:
  web:
    command: [./demo, -db, $DIR/demo.db]
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
cache:
  usersCount:
    sql: {driver: sqlite, dsn: demo.db, query: SELECT count(*) FROM users}
    every: 100ms
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	shape := regexp.MustCompile(`^Handled by process (\d+)\.Cached value: (\d+)$`)
	get := func(count string) (pid string) {
		t.Helper()
		match := shape.FindStringSubmatch(m.must("/"))
		if match == nil || match[2] != count {
			t.Errorf("the answer is %q, want the count %s", match, count)
			return ""
		}
		return match[1]
	}
	get("50")
	if r, err := fresh.Post("http://"+m.address()+"/users", "", nil); err != nil || r.StatusCode != http.StatusCreated {
		t.Fatalf("cannot add a user: %v %v", r, err)
	} else {
		r.Body.Close()
	}
	seen := 0 // in a row: every worker has it
	eventually.True(t, "every worker shows the new count", func() bool {
		seen++
		if !strings.HasSuffix(m.must("/"), "Cached value: 51") {
			seen = 0
		}
		return seen >= 30
	})
	m.roll()
	get("51")
	mark := m.mark()
	victim := m.workers("")[0]
	syscall.Kill(victim, syscall.SIGKILL)
	m.awaitFrom(mark, is("ready"))
	for range 20 {
		if pid := get("51"); pid == fmt.Sprint(victim) {
			t.Error("a dead worker has answered")
		}
	}
	m.signal(syscall.SIGINT)
	m.ended(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if out := m.stdout.String(); !strings.Contains(out, "Started process") || !strings.Contains(out, "Worker ") {
		t.Errorf("the workers' output lacks their start or the greeting: %s", out)
	}
}
