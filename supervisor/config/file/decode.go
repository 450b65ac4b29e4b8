package file

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/tinehq/tine/supervisor/config"
)

// maxNodes bounds the work that aliases and merge keys can multiply.
const maxNodes = 100_000

// decoder turns the syntax trees of one config's files into a Config. It collects all faults, and remembers where each value
// is, so that later checks can point at it. For one goroutine, and one config.
type decoder struct {
	loader  loader
	sources []*source // in the order in which they were read; the first is the config file itself
	bytes   int       // of all of them
	tokens  int       // in all of them
	errs    []*config.Problem
	values  map[string]place // by path
	meant   map[string]bool  // paths of keys that are there, but misspelt
	merging map[ast.Node]bool
	filled  map[ast.Node]ast.Node // scalars whose variables are replaced; nil: one of them is not there
	budget  int                   // of sections' lines; below 0: given up
	lenient bool                  // a missing variable is not a fault: the config that is read is not used
}

func newDecoder(l loader) *decoder {
	return &decoder{
		loader: l, values: map[string]place{}, meant: map[string]bool{}, merging: map[ast.Node]bool{},
		filled: map[ast.Node]ast.Node{}, budget: maxNodes,
	}
}

// place is a position in one of the files, whose lines are numbered one after the other; the zero place is unknown.
type place struct{ line, column int }

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

func placeOfNode(n ast.Node) place {
	switch v := n.(type) {
	case nil:
		return place{}
	case *ast.MappingNode:
		// The token of a block mapping is the colon behind its first key.
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return placeOfNode(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOfNode(v.Key)
	case *ast.LiteralNode:
		return placeOfToken(v.Start)
	}
	return placeOfToken(n.GetToken())
}

// placeOf returns the place of the value at path, or of the nearest one above it.
func (d *decoder) placeOf(path string) place {
	for path != "" {
		if p, ok := d.values[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}
}

// reported reports whether a fault of the value at path, or of a section or list that it is in, was found already.
func (d *decoder) reported(path string) bool {
	if d.meant[path] {
		return true
	}
	for _, e := range d.errs {
		if e.Path == path || (e.Path != "" && strings.HasPrefix(path, e.Path) && strings.ContainsRune(".[", rune(path[len(e.Path)]))) {
			return true
		}
	}
	return false
}

func (d *decoder) fail(n ast.Node, path, format string, args ...any) {
	d.failAt(placeOfNode(n), path, format, args...)
}

func (d *decoder) failAt(at place, path, format string, args ...any) {
	d.failIn(d.sourceOf(at), at, path, format, args...)
}

func (d *decoder) failIn(s *source, at place, path, format string, args ...any) {
	e := &config.Problem{File: s.name, Order: s.base, Path: path, Message: fmt.Sprintf(format, args...)}
	if line := at.line - s.base; at.line > 0 && line >= 1 {
		e.Line, e.Column = line, at.column
		if line <= len(s.lines) {
			e.Source = s.lines[line-1]
		}
	}
	d.errs = append(d.errs, e)
}

// resolve follows anchors and aliases to the node that is meant; nil when there is none.
func (d *decoder) resolve(path string, n ast.Node) ast.Node {
	for range 32 {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target, ok := d.sourceOf(placeOfNode(v)).anchors[name]
			if !ok {
				d.fail(v, path, "no anchor &%s in this file", name)
				return nil
			}
			n = target
		case *ast.TagNode:
			d.fail(v, path, "the tag %s has no meaning here: leave it out", v.Start.Value)
			return nil
		case *ast.NullNode:
			return nil
		case *ast.StringNode:
			return d.fill(path, v, v.Value, placeOfNode(v))
		case *ast.LiteralNode:
			return d.fill(path, v, v.Value.Value, placeOfNode(v))
		default:
			return n
		}
	}
	d.fail(n, path, "alias points to itself")
	return nil
}

// entry is one line of a section.
type entry struct {
	key   string
	at    place
	name  ast.MapKeyNode // the key as it stands in the file
	value ast.Node
}

// entries returns the lines of the section n, those of merge keys (<<) last.
func (d *decoder) entries(path string, n ast.Node) []entry {
	var own, merged []entry
	seen := map[string]place{}
	original := n
	if n = d.resolve(path, n); n == nil {
		return nil
	}
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		d.fail(original, path, "%s is not a section: write lines of KEY: VALUE below it", describe(n))
		return nil
	}
	for _, v := range values {
		if d.budget--; d.budget < 0 {
			if d.budget == -1 {
				d.fail(v, path, "aliases make the file too large")
			}
			return nil
		}
		if v.Key.IsMergeKey() {
			merged = append(merged, d.merge(path, v.Value)...)
			continue
		}
		at := placeOfNode(v.Key)
		key, ok := keyText(v.Key)
		if !ok {
			d.failAt(at, path, "the key must be a plain word")
			continue
		}
		if first, twice := seen[key]; twice {
			d.failAt(at, config.Join(path, key), "is here twice: first in %s", d.where(first, at))
			continue
		}
		seen[key] = at
		own = append(own, entry{key, at, v.Key, v.Value})
	}
	for _, e := range merged {
		if _, set := seen[e.key]; !set {
			seen[e.key] = e.at
			own = append(own, e)
		}
	}
	return own
}

// merge returns the lines that a merge key brings: of one section, or of each in a list, of which the first one wins.
func (d *decoder) merge(path string, n ast.Node) []entry {
	target := d.resolve(path, n)
	if target == nil {
		return nil
	}
	if d.merging[target] {
		d.fail(n, path, "merges itself")
		return nil
	}
	d.merging[target] = true
	defer delete(d.merging, target)
	list, ok := target.(*ast.SequenceNode)
	if !ok {
		return d.entries(path, target)
	}
	var all []entry
	for _, v := range list.Values {
		all = append(all, d.merge(path, v)...)
	}
	return all
}

func keyText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.AnchorNode:
		return keyText(n.Value)
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// field is one key of a section.
type field struct {
	key string
	codec
}

// section decodes the lines of n, each of which must be one of the fields.
func (d *decoder) section(path string, n ast.Node, fields []field, ignore func(key string) bool) {
lines:
	for _, e := range d.entries(path, n) {
		at := config.Join(path, e.key)
		for _, f := range fields {
			if f.key == e.key {
				d.values[at] = d.valuePlace(e)
				f.decode(at, e.value)
				continue lines
			}
		}
		if ignore != nil && ignore(e.key) {
			continue
		}
		known := make([]string, len(fields))
		for i, f := range fields {
			known[i] = f.key
		}
		if s := config.Suggest(e.key, known); s != "" {
			d.meant[config.Join(path, s)] = true
			d.failAt(e.at, at, "unknown key %q: did you mean %s?", e.key, s)
		} else {
			d.failAt(e.at, at, "unknown key %q: the keys here are %s", e.key, strings.Join(known, ", "))
		}
	}
}

// valuePlace is where the value of e is; that of its key when it has none or starts in a later line.
func (d *decoder) valuePlace(e entry) place {
	at := placeOfNode(e.value)
	if at.line != e.at.line {
		return e.at
	}
	return at
}

// describe shows a node in an error message.
func describe(n ast.Node) string {
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return config.Shorten(v.Value)
	case *ast.LiteralNode:
		return config.Shorten(v.Value.Value)
	default:
		if t := n.GetToken(); t != nil {
			return t.Value
		}
		return "this"
	}
}
