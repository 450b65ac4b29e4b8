package pm2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
)

// maxEcosystem is far above any ecosystem file that a person wrote, in bytes.
const maxEcosystem = 4 << 20

// Import makes a config of the ecosystem file at path. notes say what has no
// counterpart. The keys are those of pm2.keymetrics.io/docs/usage/application-declaration.
func Import(path string) (yaml []byte, notes []string, err error) {
	fail := func(err error) ([]byte, []string, error) {
		return nil, nil, fmt.Errorf("cannot import %s: %w", path, err)
	}
	switch filepath.Ext(path) {
	case ".js", ".cjs", ".mjs", ".ts":
		return fail(fmt.Errorf(`it is a program: make JSON of it first, with node -e 'console.log(JSON.stringify(require(%q)))' > ecosystem.json`, dotted(path)))
	}
	text, err := config.ReadRegular(path, "ecosystem file", maxEcosystem)
	if err != nil {
		return fail(err)
	}
	i := importer{file: filepath.Base(path)}
	if err := i.read(text); err != nil {
		return fail(err)
	}
	i.notes = append(i.notes, "all apps: a worker is ready when it says so, which a Go program does with worker.Start; one that never does is ended after ready_timeout")
	yaml = i.config()
	if err := loads(yaml); err != nil {
		i.notes = append(i.notes, "the result is not right yet: "+err.Error())
	}
	return yaml, i.notes, nil
}

// dotted is a path as require wants it.
func dotted(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return path
	}
	return "./" + path
}

// loads tells what Load has against a config.
func loads(text []byte) error {
	dir, err := os.MkdirTemp("", "tine-import-")
	if err != nil {
		return nil //nolint:nilerr // where nothing can be written it is not checked
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tine.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil
	}
	_, err = file.Load(path)
	var faults *config.Problems
	if errors.As(err, &faults) {
		for _, one := range faults.Errors {
			one.File = "tine.yaml"
		}
	}
	return err
}

// importer is an import under way.
type importer struct {
	file  string
	apps  []importedApp
	envs  map[string]map[string][]line // by environment and app
	notes []string
}

// importedApp is an app of the result.
type importedApp struct {
	name  string
	lines []line
}

// line is a key of the result; a comment alone has no key.
type line struct{ key, value, comment string }

func (i *importer) note(app, key, format string, args ...any) {
	where := key
	if app != "" {
		where = app + ": " + key
	}
	i.notes = append(i.notes, where+": "+fmt.Sprintf(format, args...))
}

// read takes {"apps": [...]}, {"apps": {...}}, a list of apps, or one app.
func (i *importer) read(text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var document any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			before := text[:min(int(syntax.Offset), len(text))]
			return fmt.Errorf("it is not JSON: line %d: %w", bytes.Count(before, []byte("\n"))+1, err)
		}
		return fmt.Errorf("it is not JSON: %w", err)
	}
	apps := document
	if top, ok := document.(map[string]any); ok {
		if inner, has := top["apps"]; has {
			apps = inner
			for _, key := range slices.Sorted(maps.Keys(top)) {
				if key != "apps" {
					i.note("", key, "no counterpart: Tine replaces workers, it brings no code to machines")
				}
			}
		}
	}
	i.envs = map[string]map[string][]line{}
	switch v := apps.(type) {
	case []any:
		for n, one := range v {
			app, ok := one.(map[string]any)
			if !ok {
				return fmt.Errorf("app %d is not an object", n+1)
			}
			i.app(app)
		}
	case map[string]any:
		if _, isOne := v["script"]; isOne {
			i.app(v)
			break
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			app, ok := v[name].(map[string]any)
			if !ok {
				return fmt.Errorf("%s is not an app", name)
			}
			if _, named := app["name"]; !named {
				app["name"] = name
			}
			i.app(app)
		}
	default:
		return errors.New("it has no apps")
	}
	if len(i.apps) == 0 {
		return errors.New("it has no apps")
	}
	return nil
}
