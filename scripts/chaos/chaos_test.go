//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// withRace says whether this test was built with the race detector: then the master is too.
func withRace() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

func build(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o", dir + "/"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %v: %v\n%s", args, err, out)
	}
}

// TestQuick is make chaos in short: real processes, random actions with a fixed seed,
// and not one request lost.
func TestQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for several seconds")
	}
	dir := t.TempDir()
	o := options{duration: 3 * time.Second, seed: 7, kill: true, upgrade: true, race: withRace(), tine: filepath.Join(dir, "tine"), demo: filepath.Join(dir, "demo")}
	both := []string{"github.com/tinehq/tine/cmd/tine", "github.com/tinehq/tine/cmd/demo"}
	if o.race {
		both = append([]string{"-race"}, both...) // the flags of the test: all is compiled already
	}
	build(t, dir, both...)
	r, err := run(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.print(&out)
	t.Log(out.String())
	if !r.passed() {
		t.Fail()
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%d files are left in the folder of the binaries", len(entries))
	}
}
