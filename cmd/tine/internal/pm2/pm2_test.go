package pm2

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzImport makes of each JSON either an error or a config with its notes.
func FuzzImport(f *testing.F) {
	f.Add(`{"apps": [{"name": "A b", "script": "x.js", "args": "a 'b c'", "env": {"A": "${B}", "": 1, "TINE_X": 2}, "env_p": {"A": null}, "watch": ["a", 1, {}]}]}`)
	f.Add(`{"apps": {"a": {"script": "x", "instances": -1, "max_memory_restart": "1.5G", "kill_timeout": "1h", "port": 80, "cron_restart": "1 2 3 4 5 6"}}}`)
	f.Add(`[{"script": {}, "env": [], "ignore_watch": "[", "watch": true, "error_file": "NULL"}, {"name": "a"}, {"name": "a", "script": "b"}]`)
	path := filepath.Join(f.TempDir(), "ecosystem.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, notes, err := Import(path)
		if err != nil {
			return
		}
		if len(notes) == 0 || !strings.Contains(string(config), "\napps:\n") {
			t.Errorf("got %s with %q", config, notes)
		}
		for _, n := range notes {
			// Faults of the values are the file's own, the form is ours.
			if strings.Contains(n, "is not YAML") || strings.Contains(n, "unknown key") || strings.Contains(n, "here twice") {
				t.Errorf("%s\n%s", n, config)
			}
		}
	})
}

func TestSize(t *testing.T) {
	for text, want := range map[string]string{"300M": "300MiB", "1G": "1GiB", "1.5g": "1536MiB", "512K": "512KiB", "100MB": "100MiB", "1234567": "1234567"} {
		if got, ok := size(text); got != want || !ok {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "M", "-1M", "0", "many", "1e99G", "NaN"} {
		if got, ok := size(text); ok {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
