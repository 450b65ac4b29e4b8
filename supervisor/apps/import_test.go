package apps

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPure holds that nothing here acts, waits, shares or looks at a clock.
func TestPure(t *testing.T) {
	allowed := map[string]bool{
		`"time"`: true, `"strconv"`: true, `"slices"`: true, `"strings"`: true,
		`"github.com/tinehq/tine/supervisor/civil"`: true, `"github.com/tinehq/tine/supervisor/pool"`: true,
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if !allowed[i.Path.Value] {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		for _, banned := range []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After(", "time.NewTimer", "\tgo "} {
			if strings.Contains(string(source), banned) {
				t.Errorf("%s says %q", name, banned)
			}
		}
	}
}
