package file

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/tinehq/tine/supervisor/config"
)

const (
	maxConfigBytes = 4 << 20 // of all files; far above any config that a person wrote
	maxConfigFiles = 200
)

// source is one file. Its lines are numbered on from those of the files before it, so that each place belongs to one file.
type source struct {
	name    string // in messages
	path    string // absolute
	dir     string
	base    int // lines before it
	lines   []string
	anchors map[string]ast.Node
	vars    map[string]string // of env_file
	parent  *source           // that includes it
	envs    []ast.Node        // its environments
}

// sourceOf returns the file that a place is in; the first one for an unknown place.
func (d *decoder) sourceOf(at place) *source {
	for _, s := range slices.Backward(d.sources) {
		if at.line > s.base {
			return s
		}
	}
	return d.sources[0]
}

// where names a place for a message about another one.
func (d *decoder) where(at, from place) string {
	s := d.sourceOf(at)
	if s == d.sourceOf(from) {
		return fmt.Sprintf("line %d", at.line-s.base)
	}
	return fmt.Sprintf("%s:%d", s.name, at.line-s.base)
}

// read parses a file and all that it includes. It returns the root of the config, nil if it is empty; false: it has faults.
func (d *decoder) read(name, path string, parent *source, text []byte) (ast.Node, bool) {
	text, badLine, bad := config.PlainText(text)
	s := &source{
		name: name, path: path, dir: filepath.Dir(path), parent: parent,
		lines:   strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"),
		anchors: map[string]ast.Node{},
	}
	if n := len(d.sources); n > 0 {
		s.base = d.sources[n-1].base + len(d.sources[n-1].lines)
	}
	if parent != nil {
		s.vars = parent.vars
	}
	d.sources = append(d.sources, s)
	d.bytes += len(text)
	if bad != nil {
		at := place{}
		if badLine > 0 {
			at = place{s.base + badLine, 1}
		}
		d.failIn(s, at, "", "%v", bad)
		return nil, false
	}
	root, ok := d.parse(s, text)
	if !ok {
		return nil, false
	}
	roots := d.included(s, root)
	if parent == nil {
		return d.overlaid(d.united("", roots)), true
	}
	return d.united("", roots), true
}

// parse returns the root of the only document, nil if the file is empty; false: it has faults.
func (d *decoder) parse(s *source, text []byte) (root ast.Node, ok bool) {
	// A file that makes the YAML library panic is reported as broken, and must not end the master.
	defer func() {
		if p := recover(); p != nil {
			d.failIn(s, place{}, "", "is not YAML that can be read: %v", p)
			root, ok = nil, false
		}
	}()
	if line := longGap(text); line > 0 {
		d.failIn(s, place{s.base + line, 1}, "", "has more than %d empty lines in a row", maxGap)
		return nil, false
	}
	tokens := lexer.Tokenize(string(text))
	if s.base > 0 {
		moved := map[*token.Position]bool{}
		for _, t := range tokens {
			if t.Position != nil && !moved[t.Position] {
				moved[t.Position] = true
				t.Position.Line += s.base
			}
		}
	}
	if at := tooDeep(tokens); at != nil {
		d.failIn(s, placeOfToken(at), "", "has more than %d lists and sections within each other", maxDepth)
		return nil, false
	}
	if d.tokens += len(tokens); d.tokens > maxTokens {
		d.failIn(s, place{}, "", "is too long: the files have more than %d words and signs in all", maxTokens)
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := place{}, err.Error()
		if e, isYAML := err.(interface {
			GetToken() *token.Token
			GetMessage() string
		}); isYAML {
			at, message = placeOfToken(e.GetToken()), e.GetMessage()
		}
		if indentedByTab(text, at.line-s.base) {
			message = "indent with spaces, not with tabs"
		}
		d.failIn(s, at, "", "is not YAML: %s", message)
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
	ast.Walk(anchorVisitor{d, s}, bodies[0])
	return bodies[0], true
}

// anchorVisitor collects what aliases may point to.
type anchorVisitor struct {
	d *decoder
	s *source
}

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Value != nil {
		name := a.Name.GetToken().Value
		if _, twice := v.s.anchors[name]; twice {
			v.d.fail(a, "", "anchor &%s is defined twice", name)
		}
		v.s.anchors[name] = a.Value
	}
	return v
}

// included returns the root of a file, without the keys that are read before the rest, and after it the roots of the files that
// it includes.
func (d *decoder) included(s *source, root ast.Node) []ast.Node {
	special := []string{"env_file", "include", "environments"}
	values, isSection := valuesOf(root)
	has := slices.ContainsFunc(values, func(v *ast.MappingValueNode) bool {
		key, _ := keyText(v.Key)
		return slices.Contains(special, key)
	})
	if !isSection || !has {
		return []ast.Node{root}
	}
	var own []entry
	found := map[string]entry{}
	for _, e := range d.entries("", root) {
		if slices.Contains(special, e.key) {
			found[e.key] = e
			d.values[e.key] = d.valuePlace(e)
		} else {
			own = append(own, e)
		}
	}
	if e, ok := found["env_file"]; ok {
		d.envFiles(s, e)
	}
	if e, ok := found["environments"]; ok {
		s.envs = append(s.envs, e.value)
	}
	roots := []ast.Node{section(own)}
	if e, ok := found["include"]; ok {
		roots = append(roots, d.include(s, e)...)
	}
	return roots
}

// valuesOf returns the lines of a section as they stand.
func valuesOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}, true
	}
	return nil, false
}

// texts decodes one text or a list of them, and where each is.
func (d *decoder) texts(e entry) (texts []string, nodes []ast.Node) {
	nodes = []ast.Node{e.value}
	path := func(int) string { return e.key }
	if list, ok := d.resolve(e.key, e.value).(*ast.SequenceNode); ok {
		nodes = list.Values
		path = func(i int) string { return config.Index(e.key, i) }
	}
	var kept []ast.Node
	for i, n := range nodes {
		if s, ok := d.text(path(i), n); ok {
			if s == "" {
				d.fail(n, path(i), "is empty: write the path of a file")
				continue
			}
			texts, kept = append(texts, s), append(kept, n)
		}
	}
	return texts, kept
}

// envFiles reads the variables of a file.
func (d *decoder) envFiles(s *source, e entry) {
	texts, nodes := d.texts(e)
	s.vars = maps.Clone(s.vars)
	if s.vars == nil {
		s.vars = map[string]string{}
	}
	for i, text := range texts {
		path := d.absolute(nodes[i], text)
		body, err := d.loader.read(path)
		if err != nil {
			d.fail(nodes[i], e.key, "%s cannot be read: %v", config.Shorten(text), reason(err))
			continue
		}
		pairs, err := config.ParseEnv(path, string(body))
		var faults *config.Problems
		if errors.As(err, &faults) {
			for _, f := range faults.Errors {
				f.Order = s.base
				d.errs = append(d.errs, f)
			}
		}
		for _, p := range pairs {
			name, value, _ := strings.Cut(p, "=")
			s.vars[name] = value
		}
	}
}

// reason returns the innermost error, without the path that the message has already.
func reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// include reads the files that a file includes. A file that was read already is left out, unless it includes s itself, which is a
// fault.
func (d *decoder) include(s *source, e entry) []ast.Node {
	var roots []ast.Node
	texts, nodes := d.texts(e)
	for i, text := range texts {
		fail := func(format string, args ...any) { d.fail(nodes[i], e.key, format, args...) }
		paths := []string{d.absolute(nodes[i], text)}
		if strings.ContainsAny(text, "*?[") {
			var err error
			if paths, err = d.loader.glob(paths[0]); err != nil {
				fail("%s is not a pattern: write one such as apps/*.yaml", config.Shorten(text))
				continue
			}
			slices.Sort(paths)
		}
		for _, path := range paths {
			path = filepath.Clean(path)
			if circle := s.above(path); circle != "" {
				fail("includes itself: %s", circle)
				continue
			}
			if slices.ContainsFunc(d.sources, func(o *source) bool { return o.path == path }) {
				continue
			}
			if len(d.sources) == maxConfigFiles {
				fail("makes more than %d files", maxConfigFiles)
				return roots
			}
			body, err := d.loader.read(path)
			if err != nil {
				fail("%s cannot be read: %v", config.Shorten(text), reason(err))
				continue
			}
			if d.bytes+len(body) > maxConfigBytes {
				fail("makes more than %d bytes in all", maxConfigBytes)
				return roots
			}
			if root, ok := d.read(d.display(s, path, text), path, s, body); ok && root != nil {
				roots = append(roots, root)
			}
		}
	}
	return roots
}

// display names an included file as the including one is named.
func (d *decoder) display(s *source, path, text string) string {
	if filepath.IsAbs(text) {
		return path
	}
	if rel, err := filepath.Rel(s.dir, path); err == nil {
		return filepath.Join(filepath.Dir(s.name), rel)
	}
	return path
}

// above returns how the file at path includes s, such as "a includes b includes a"; "": it does not.
func (s *source) above(path string) string {
	names := []string{s.name}
	for at := s; at != nil; at = at.parent {
		if at != s {
			names = append(names, at.name)
		}
		if at.path == path {
			slices.Reverse(names)
			return strings.Join(append(names, at.name), " includes ")
		}
	}
	return ""
}
