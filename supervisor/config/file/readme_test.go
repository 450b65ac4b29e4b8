package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documentedConfigs are the configs that README.md and CONFIG.md show, in their order.
func documentedConfigs(t *testing.T) (texts []string) {
	t.Helper()
	for _, file := range []string{"../../../README.md", "../../../cmd/tine/CONFIG.md"} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(page), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Fatalf("%s shows no config", file)
		}
		for _, block := range blocks {
			text, _, _ := strings.Cut(block, "```")
			texts = append(texts, text)
		}
	}
	return texts
}

// TestConfigsOfTheDocs: each config that the documents show is right, also in production where it has that environment.
func TestConfigsOfTheDocs(t *testing.T) {
	t.Parallel()
	for _, text := range documentedConfigs(t) {
		dir := t.TempDir()
		path := filepath.Join(dir, "tine.yaml")
		for name, content := range map[string]string{path: text, filepath.Join(dir, ".env"): "PORT=7000\n"} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		envs := []string{""}
		if strings.Contains(text, "production:") {
			envs = append(envs, "production")
		}
		for _, env := range envs {
			if _, err := LoadWith(path, LoadOptions{Env: env}); err != nil {
				t.Errorf("environment %q: %v", env, err)
			}
		}
	}
}
