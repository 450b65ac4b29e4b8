package estate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
)

// TestLeftConfig: what comes back is all that was there.
func TestLeftConfig(t *testing.T) {
	text, err := os.ReadFile("../config/file/testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "tine.yaml")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := file.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := record.Memory("a test's")
	if err != nil {
		t.Skipf("SKIPPED: no memory files here: %v", err)
	}
	defer f.Close()
	r, err := record.New(f)
	if err != nil {
		t.Fatal(err)
	}
	inherited := map[string][]*os.File{succession.StateFile: {f}}
	write := func(s succession.State) {
		t.Helper()
		blob, err := json.Marshal(s)
		if err == nil {
			err = r.Write(blob)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(succession.State{Version: succession.Version, Config: encode(c, c)})
	got, err := succession.LeftConfig(inherited)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got\n%+v\nwant\n%+v", got, c)
	}
	for words, s := range map[string]succession.State{
		"no config":  {Version: succession.Version},
		"version is": {Version: succession.Version + 1, Config: encode(c, c)},
	} {
		write(s)
		if _, err := succession.LeftConfig(inherited); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	if _, err := succession.LeftConfig(nil); err == nil {
		t.Error("a config of nobody")
	}
}
