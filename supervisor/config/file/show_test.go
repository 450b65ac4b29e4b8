package file

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
)

// TestConfigAsYAML: what is written is read as the same again.
func TestConfigAsYAML(t *testing.T) {
	for name, text := range map[string]string{
		"smallest": "apps: {web: {command: server}}",
		"texts": `
apps:
  web:
    command: [./server, "", "a b", "$${X}", $$$$, "$HOME", "~", "null", "4", "0x10", "#a", "a: b", "line\nline", "\t", "é", '"', "'", "- x", "{", "*a", "&a", "!t", "%d", "@x", "|"]
    env: {A: "", B: "007", C: "true", D: ~, "E F": x, yes: no}
    dir: "/a b/${NONE:-c}"
cache: {"a.b c": {exec: "echo $$$$ | wc"}, "1": {file: x}}
`,
		"everything": everything,
	} {
		if name == "texts" {
			text = strings.Replace(text, `"E F": x, `, "", 1)
		}
		c := load(t, "/srv", text)
		written := YAML(c)
		again, err := parseConfig("written.yaml", "/elsewhere", written)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, written)
			continue
		}
		if changes := Diff(c, again); len(changes) > 0 {
			t.Errorf("%s: %v\n%s", name, changes, written)
		}
		for _, one := range []*config.Config{c, again} {
			o := one.Origin()
			o.Files = nil
			one.SetOrigin(o)
			for i := range one.Apps {
				if len(one.Apps[i].Env) == 0 {
					one.Apps[i].Env = nil
				}
			}
		}
		if !reflect.DeepEqual(c, again) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, again, c)
		}
	}
}
