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

	"github.com/tinehq/tine/ipc/eventually"
)

// TestFolderByItsName: started in a folder that a symlink leads to, tine looks there by that name for ever: after the symlink was
// changed and its old folder is gone, in a SIGHUP, below a master that was started again, and below an upgraded one.
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
	eventually.True(t, "the file is told of", func() bool { return strings.Contains(m.mustStatus().Unapplied, "apps.web.workers") })
	syscall.Kill(st.PID, syscall.SIGKILL)
	eventually.True(t, "another master", func() bool {
		now, err := m.status()
		return err == nil && now.PID != st.PID && len(now.Apps) == 1 && slices.Equal(workerPIDs(now), before)
	})
	out, _ := m.tell(0, "upgrade")
	has(t, out, "2 workers untouched\n")
	m.signal(syscall.SIGHUP)
	eventually.True(t, "the config of the second release", func() bool {
		now, err := m.status()
		return err == nil && len(now.Apps) == 1 && now.Apps[0].Ready == 3 && now.Unapplied == ""
	})
	m.stop()
}

// TestUpgradeWithoutTheFolder: what has the name of the folder that a master was started in may be gone when it is upgraded, also
// of one that was brought back when the name led elsewhere already.
func TestUpgradeWithoutTheFolder(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]bool{"removed": false, "turned, crashed, removed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			write(t, dir, "tine.yaml", twoCalm)
			for _, f := range []string{"1", "2"} {
				if err := os.Mkdir(filepath.Join(dir, f), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			here := filepath.Join(dir, "current")
			turn := func(to string) {
				t.Helper()
				_ = os.Remove(here)
				if err := os.Symlink(to, here); err != nil {
					t.Fatal(err)
				}
			}
			turn("1")
			m := startIn(t, dir, []string{"run", "-c", filepath.Join(dir, "tine.yaml")}, kept, withEnv("PWD="+here), func(c *exec.Cmd) { c.Dir = here })
			m.await(is("all workers are ready"))
			st := m.mustStatus()
			before := workerPIDs(st)
			if crash {
				turn("2")
				syscall.Kill(st.PID, syscall.SIGKILL)
				eventually.True(t, "another master", func() bool {
					now, err := m.status()
					return err == nil && now.PID != st.PID && len(now.Apps) == 1 && slices.Equal(workerPIDs(now), before)
				})
			} else if err := os.Remove(here); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "1")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				out, _ := m.tell(0, "upgrade")
				has(t, out, "2 workers untouched\n")
			}
			if now := workerPIDs(m.mustStatus()); !slices.Equal(now, before) {
				t.Errorf("workers %v, before %v", now, before)
			}
			m.stop()
		})
	}
}
