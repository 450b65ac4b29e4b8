//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// older are commits whose master this one must be able to follow, and to be followed by.
var older = map[string]string{
	"no patches in its record":       "976c4bc",
	"patches of all of an app in it": "1901e85",
}

// buildOlder makes the tine of a commit from the history of this repository.
func buildOlder(t *testing.T, commit string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: another tine is built")
	}
	if err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		t.Skipf("SKIPPED, AND WITH IT WHETHER AN UPGRADE WORKS: commit %s is not in the history that is here: %v", commit, err)
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	for _, args := range [][]string{
		{"git", "-C", "../..", "archive", "-o", archive, commit},
		{"tar", "-xf", archive, "-C", dir},
		{"go", "build", "-C", dir, "-o", "bin/tine", "./cmd/tine"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "bin", "tine") // the tests' own program knows by its name what it is
}

// TestUpgradeFromOlder: a master of an older version is upgraded to this one and back, and to this one again, which is killed:
// no worker is another, and no request fails.
func TestUpgradeFromOlder(t *testing.T) {
	t.Parallel()
	for name, commit := range older {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := buildOlder(t, commit)
			dir := folder(t)
			write(t, dir, "tine.yaml", twoCalm)
			m := startProgram(t, dir, old, []string{"run", "-c", "tine.yaml"}, withEnv("TINE_KEEPER=on"))
			m.await(is("all workers are ready"))
			before := workerPIDs(m.mustStatus())
			l := m.steadily(2)
			same := func(step string) {
				t.Helper()
				if now := workerPIDs(m.mustStatus()); !slices.Equal(now, before) {
					t.Fatalf("%s: workers %v, were %v", step, now, before)
				}
			}
			for _, binary := range []string{tinePath, old, tinePath} {
				m.tell(0, "upgrade", "--binary", binary)
				same("upgraded to " + binary)
			}
			st := m.mustStatus()
			syscall.Kill(st.PID, syscall.SIGKILL)
			eventually.True(t, "another master", func() bool {
				now, err := m.status()
				return err == nil && now.PID != st.PID
			})
			same("after a crash")
			l.lossless(t)
			m.tell(0, "stop")
		})
	}
}
