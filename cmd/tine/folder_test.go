//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFolderByItsName: started in a folder that a symlink leads to, tine looks there by that name for ever: after the symlink was
// turned and what it led to is gone, in a SIGHUP, below a master that was brought back, and below an upgraded one.
func TestFolderByItsName(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	release := func(name, workers string) {
		t.Helper()
		path := filepath.Join(dir, "releases", name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "tine.yaml", strings.Replace(twoCalm, "workers: 2", "workers: "+workers, 1))
		_ = os.Remove(filepath.Join(dir, "current"))
		if err := os.Symlink("releases/"+name, filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	release("1", "2")
	current := filepath.Join(dir, "current")
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, kept, withEnv("PWD="+current), func(c *exec.Cmd) { c.Dir = current })
	m.await(is("all workers are ready"))
	before := workerPIDs(m.mustStatus())
	release("2", "3")
	if err := os.RemoveAll(filepath.Join(dir, "releases", "1")); err != nil {
		t.Fatal(err)
	}
	st := m.mustStatus()
	eventually(t, "the file is told of", func() bool { return strings.Contains(m.mustStatus().Unapplied, "apps.web.workers") })
	syscall.Kill(st.PID, syscall.SIGKILL)
	eventually(t, "another master", func() bool {
		now, err := m.status()
		return err == nil && now.PID != st.PID && len(now.Apps) == 1 && slices.Equal(workerPIDs(now), before)
	})
	out, _ := m.tell(0, "upgrade")
	has(t, out, "2 workers untouched\n")
	m.signal(syscall.SIGHUP)
	eventually(t, "the config of the second release", func() bool {
		now, err := m.status()
		return err == nil && len(now.Apps) == 1 && now.Apps[0].Ready == 3 && now.Unapplied == ""
	})
	m.stop()
}
