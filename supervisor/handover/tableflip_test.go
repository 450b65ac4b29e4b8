//go:build unix

package handover

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The text of the error is tableflip's, in the version that go.mod names.
func TestParentLivesIsTheErrorOfTableflip(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudflare/tableflip").Output()
	if err != nil {
		t.Skipf("NOT TESTED: no module cache: %v", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "upgrader.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range strings.Split(string(source), "errors.New(\"")[1:] {
		text, _, _ := strings.Cut(part, "\")")
		if parentLives(errors.New(text)) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d errors of tableflip are taken for the one of a parent that has not exited, want 1", found)
	}
	if parentLives(nil) {
		t.Error("no error is taken for one")
	}
}
