package orders

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPure holds that nothing here acts, waits, shares or looks at a clock. Of net/http only the names of statuses are used.
func TestPure(t *testing.T) {
	allowed := map[string]bool{`"errors"`: true, `"fmt"`: true, `"maps"`: true, `"net/http"`: true, `"slices"`: true, `"time"`: true,
		`"github.com/tinehq/tine/supervisor/apps"`: true, `"github.com/tinehq/tine/supervisor/control/api"`: true, `"github.com/tinehq/tine/supervisor/pool"`: true}
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
		text := strings.ReplaceAll(string(source), "http.Status", "")
		for _, banned := range []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After(", "time.AfterFunc", "time.NewTimer", "\tgo ", "http."} {
			if strings.Contains(text, banned) {
				t.Errorf("%s says %q", name, banned)
			}
		}
	}
}
