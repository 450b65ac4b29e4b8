package file

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tinehq/tine/supervisor/config"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("tine.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("tine.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor makes of a file.
func asJSON(text []byte) (any, error) {
	plain, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(plain))
}

func TestSchemaTakesWhatLoadTakes(t *testing.T) {
	s := compiledSchema(t)
	good := map[string][]byte{
		"everything": []byte(everything),
		"written":    YAML(load(t, "/srv", everything)),
		"short forms": []byte(`
include: a.yaml
env_file: [a.env]
apps:
  a: {command: x, watch: true, depends_on: [b], hooks: {on_crash: y}, log: l, workers: "${N}", drain_delay: "${D:-3s}", listen: ":1"}
  b: {command: [x, 1, true], oneshot: "${ONE}", env: {A: , B: 1, C: true}, max_age: off, stall_timeout: 0}
environments: {production: {name: , apps: {a: {watch: , log: {file: , keep: 3}}, b: }, cache: {x: {every: 1s}}}}
`),
	}
	for _, a := range txtar.Parse([]byte(several)).Files {
		if strings.HasSuffix(a.Name, ".yaml") {
			good[a.Name] = a.Data
		}
	}
	demo, err := os.ReadFile("../../../cmd/demo/tine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good["demo"] = demo
	for _, text := range documentedConfigs(t) {
		good["documents: "+text[:min(40, len(text))]] = []byte(text)
	}
	for name, text := range good {
		document, err := asJSON(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := s.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses what is wrong in one place; only what needs more than that to be seen passes it.
func TestSchemaRefuses(t *testing.T) {
	blind := []string{
		"addresses", "addresses_twice", "console_twice", // the language of addresses, and two keys
		"command_shell",               // the language of commands
		"apps_none", "include_circle", // other files
		"environment_gone", "environment_none", "documents", // what is not in the file, or behind it
	}
	s := compiledSchema(t)
	files, _ := filepath.Glob("testdata/config/*.txtar")
	var passed []string
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(a.Files[0].Data, []byte("*")) {
			continue // aliases are YAML's affair, and one file has them multiply without end
		}
		document, err := asJSON(a.Files[0].Data)
		if err != nil {
			continue // no YAML at all
		}
		if s.Validate(document) == nil {
			passed = append(passed, strings.TrimSuffix(filepath.Base(name), ".txtar"))
		}
	}
	for _, name := range passed {
		if !slices.Contains(blind, name) {
			t.Errorf("%s: the schema takes it", name)
		}
	}
	t.Logf("the schema takes %d of %d bad files: %s", len(passed), len(files), strings.Join(passed, ", "))
}

// TestSchemaDescribesEachKey and nothing that is not a key.
func TestSchemaDescribesEachKey(t *testing.T) {
	d := newDecoder(loader{})
	keys := map[string]bool{}
	var walk func(s *schema, path string)
	walk = func(s *schema, path string) {
		for key, p := range s.Properties {
			at := strings.TrimPrefix(path+"."+key, ".")
			keys[at] = true
			if keyDescriptions[at] == "" {
				t.Errorf("%s has no description", at)
			}
			walk(p, at)
			for _, one := range p.AnyOf {
				walk(one, at)
				if of, ok := one.Additional.(*schema); ok {
					for _, member := range append(of.AnyOf, of) {
						walk(member, at)
					}
				}
			}
		}
	}
	walk(sectionSchema(d.configFields(&config.Config{})), "")
	walk(sectionSchema(d.appFields(&config.App{})), "apps.*")
	walk(sectionSchema(d.cacheFields(&config.CacheValue{})), "cache.*")
	for key := range keyDescriptions {
		if !keys[key] {
			t.Errorf("%s is described and no key", key)
		}
	}
	if !json.Valid(Schema()) {
		t.Error("no JSON")
	}
}
