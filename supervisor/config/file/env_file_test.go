package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
)

func TestReadFilesOfOtherEncodings(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"utf16le":   {"\xff\xfeA\x00=\x001\x00", ": is UTF-16: save it as UTF-8"},
		"utf16be":   {"\xfe\xff\x00A\x00=\x001", ": is UTF-16: save it as UTF-8"},
		"utf16bare": {"A=1\nB\x00=\x001\x00", ":2:1: has a zero byte, as UTF-16 without a mark has them: save it as UTF-8"},
		"latin1":    {"A: 1\nB: caf\xe9\n", ":2:1: is not UTF-8 here: save it as UTF-8"},
		"mark":      {"\ufeff# A=1\n", ""},
		"mark, dos": {"\ufeff# A=1\r\n", ""},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.ReadEnvFile(path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), path+c.want)) {
			t.Errorf("%s as an env file: %v", name, err)
		}
		if c.want == "" {
			c.text += "apps: {web: {command: x}}\n"
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err = Load(path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), path+c.want)) {
			t.Errorf("%s as a config: %v", name, err)
		}
	}
}
