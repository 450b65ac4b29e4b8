//go:build unix

// Package examples has configs that run, and for each a story that plays what its document tells.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestStories plays each story to its end, as a reader of the example does.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("*/story")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	tine := filepath.Join(t.TempDir(), "tine")
	if out, err := exec.Command("go", "build", "-o", tine, "github.com/tinehq/tine/cmd/tine").CombinedOutput(); err != nil {
		t.Fatalf("cannot build tine: %v\n%s", err, out)
	}
	for _, story := range stories {
		t.Run(filepath.Dir(story), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "./"+story)
			cmd.Env = append(os.Environ(), "TINE="+tine)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}
