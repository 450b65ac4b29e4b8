package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxConfigBytes is far above any config that a person wrote.
const maxConfigBytes = 4 << 20

// Load reads, checks and completes the config in the YAML file at path. Relative paths in it are relative to its folder.
// When something is wrong with its content the error is a *[ConfigErrors] that names all of it.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the config: %w", err)
	}
	if info.Size() > maxConfigBytes {
		return nil, fmt.Errorf("cannot read the config: %s has %d bytes, the limit is %d", path, info.Size(), maxConfigBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the config: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the config: %w", err)
	}
	c, err := parseConfig(path, filepath.Dir(absolute), text)
	if err != nil {
		return nil, err
	}
	c.path = path
	return c, nil
}

// parseConfig decodes text, whose faults are reported as being in the file called name and whose relative paths are
// relative to dir.
func parseConfig(name, dir string, text []byte) (*Config, error) {
	d := &decoder{
		file:    name,
		dir:     dir,
		lines:   strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"),
		values:  map[string]place{},
		anchors: map[string]ast.Node{},
		meant:   map[string]bool{},
		merging: map[ast.Node]bool{},
		budget:  maxNodes,
	}
	root, ok := d.parse(text)
	if !ok {
		return nil, joinConfigErrors(d.errs)
	}
	c := d.config(root)
	for _, p := range problems(c.WithDefaults()) {
		// What follows from a fault that is told already helps nobody.
		follows := d.budget < 0 || d.reported(p.path) || p.path == "apps" && len(d.errs) > 0
		if !follows {
			d.failAt(d.placeOf(p.path), p.path, "%s", p.message)
		}
	}
	if err := joinConfigErrors(d.errs); err != nil {
		return nil, err
	}
	return c.WithDefaults(), nil
}

// parse returns the root of the only document, nil when the file is empty.
func (d *decoder) parse(text []byte) (root ast.Node, ok bool) {
	// The YAML library is not ours: a file that makes it panic is a broken file, not a broken master.
	defer func() {
		if p := recover(); p != nil {
			d.failAt(place{}, "", "is no YAML that can be read: %v", p)
			root, ok = nil, false
		}
	}()
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := place{}, err.Error()
		if e, isYAML := err.(interface {
			GetToken() *token.Token
			GetMessage() string
		}); isYAML {
			at, message = placeOfToken(e.GetToken()), e.GetMessage()
		}
		d.failAt(at, "", "is no YAML: %s", message)
		return nil, false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, directive := doc.Body.(*ast.DirectiveNode); !directive {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) > 1 {
		d.fail(bodies[1], "", "is a second document: write one file for each")
		return nil, false
	}
	if len(bodies) == 0 {
		return nil, true
	}
	ast.Walk(anchorVisitor{d}, bodies[0])
	return bodies[0], true
}

// anchorVisitor collects what aliases may point to.
type anchorVisitor struct{ d *decoder }

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Value != nil {
		name := a.Name.GetToken().Value
		if _, twice := v.d.anchors[name]; twice {
			v.d.fail(a, "", "anchor &%s is defined twice", name)
		}
		v.d.anchors[name] = a.Value
	}
	return v
}
