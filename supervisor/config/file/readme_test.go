package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigsOfTheReadme: each config that the README shows is right, also in production.
func TestConfigsOfTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d configs in the README", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		dir := t.TempDir()
		path := filepath.Join(dir, "tine.yaml")
		for name, content := range map[string]string{path: text, filepath.Join(dir, ".env"): "PORT=7000\n"} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, env := range []string{"", "production"} {
			if _, err := LoadWith(path, LoadOptions{Env: env}); err != nil {
				t.Errorf("environment %q: %v", env, err)
			}
		}
	}
}
