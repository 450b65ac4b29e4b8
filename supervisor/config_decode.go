package supervisor

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxNodes bounds the work that aliases and merge keys can multiply.
const maxNodes = 100_000

// decoder turns the syntax tree into a Config. It does not stop at the first fault: it collects them, and remembers
// where each value is so that later checks can point at it.
type decoder struct {
	file    string
	dir     string
	lines   []string
	errs    []*ConfigError
	values  map[string]place // by path
	anchors map[string]ast.Node
	meant   map[string]bool   // paths of keys that are there, but misspelt
	merging map[ast.Node]bool // the sections that merge keys are bringing in right now
	budget  int               // of sections' lines; below 0: given up
}

// place is a position in the file; the zero place is unknown.
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

// placeOf finds the value at path, or what is nearest above it.
func (d *decoder) placeOf(path string) place {
	for path != "" {
		if p, ok := d.values[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}
}

// reported tells whether the value at path, or what it is in, is known to be wrong already.
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
	e := &ConfigError{File: d.file, Line: at.line, Column: at.column, Path: path, Message: fmt.Sprintf(format, args...)}
	if at.line >= 1 && at.line <= len(d.lines) {
		e.Source = d.lines[at.line-1]
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
			target, ok := d.anchors[name]
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
		d.fail(original, path, "%s is no section: write lines of KEY: VALUE below it", describe(n))
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
			d.failAt(at, join(path, key), "is here twice: first in line %d", first.line)
			continue
		}
		seen[key] = at
		own = append(own, entry{key, at, v.Value})
	}
	for _, e := range merged {
		if _, set := seen[e.key]; !set {
			seen[e.key] = e.at
			own = append(own, e)
		}
	}
	return own
}

// merge returns the lines that a merge key brings: of one section, or of each in a list, the first one winning.
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

// join appends a key to a path. A key with a dot is quoted, so that each path means one place.
func join(path, key string) string {
	if strings.ContainsAny(key, ".[ ") || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// field decodes the value of one key.
type field struct {
	key    string
	decode func(path string, n ast.Node)
}

// section decodes the lines of n, each of which must be one of the fields.
func (d *decoder) section(path string, n ast.Node, fields []field, ignore func(key string) bool) {
lines:
	for _, e := range d.entries(path, n) {
		at := join(path, e.key)
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
		if s := suggest(e.key, known); s != "" {
			d.meant[join(path, s)] = true
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
		return shorten(v.Value)
	case *ast.LiteralNode:
		return shorten(v.Value.Value)
	default:
		if t := n.GetToken(); t != nil {
			return t.Value
		}
		return "this"
	}
}

// shorten quotes text for a message.
func shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return strconv.Quote(string(r[:57])) + "..."
	}
	return strconv.Quote(text)
}

// text decodes a scalar of any kind as it is written.
func (d *decoder) text(path string, n ast.Node) (string, bool) {
	original := n
	n = d.resolve(path, n)
	switch v := n.(type) {
	case nil:
		if !d.reported(path) {
			d.failAt(d.placeOf(path), path, "has no value: write one, or remove the key")
		}
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		d.fail(original, path, "%s is no text", describe(n))
	}
	return "", false
}

func (d *decoder) textInto(to *string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		if s, ok := d.text(path, n); ok {
			if strings.ContainsRune(s, 0) {
				d.fail(n, path, "contains a zero byte")
				return
			}
			*to = s
		}
	}
}

// list decodes one text or a list of them. each, when set, changes every one of them.
func (d *decoder) list(to *[]string, each func(string) string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		add := func(path string, n ast.Node) {
			if s, ok := d.text(path, n); ok {
				if each != nil {
					s = each(s)
				}
				*to = append(*to, s)
			}
		}
		if list, ok := d.resolve(path, n).(*ast.SequenceNode); ok {
			for i, v := range list.Values {
				d.values[index(path, i)] = placeOfNode(v)
				add(index(path, i), v)
			}
			return
		}
		add(path, n)
	}
}

// env decodes a section of variables.
func (d *decoder) env(to *map[string]string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		*to = map[string]string{}
		for _, e := range d.entries(path, n) {
			at := join(path, e.key)
			d.values[at] = d.valuePlace(e)
			if d.resolve(at, e.value) == nil {
				// A variable may be empty.
				(*to)[e.key] = ""
				continue
			}
			if s, ok := d.text(at, e.value); ok {
				(*to)[e.key] = s
			}
		}
	}
}

// boolean decodes true or false.
func (d *decoder) boolean(to *bool) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		switch v := d.resolve(path, n).(type) {
		case *ast.BoolNode:
			*to = v.Value
		default:
			if !d.reported(path) {
				d.failAt(d.placeOf(path), path, "%s is neither true nor false", describe(v))
			}
		}
	}
}

// short decodes a section that may be given as the value of one of its keys alone.
func (d *decoder) short(key string, fields []field) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		switch d.resolve(path, n).(type) {
		case *ast.StringNode, *ast.LiteralNode, *ast.SequenceNode:
			for _, f := range fields {
				if f.key == key {
					d.values[join(path, key)] = d.values[path]
					f.decode(join(path, key), n)
				}
			}
		default:
			d.section(path, n, fields, nil)
		}
	}
}

const someDuration = "write 30s, 1m30s or 500ms"

func (d *decoder) duration(to *time.Duration) func(string, ast.Node) {
	return d.durationAs(to, someDuration)
}

// optional decodes a duration, or the word off (0).
func (d *decoder) optional(to *time.Duration) func(string, ast.Node) {
	read := d.durationAs(to, "write off, 30s, 1m30s or 500ms")
	return func(path string, n ast.Node) {
		if s, ok := d.resolve(path, n).(*ast.StringNode); ok && s.Value == "off" {
			*to = 0
			return
		}
		read(path, n)
	}
}

// durationAs decodes a duration; want says in its messages what to write.
func (d *decoder) durationAs(to *time.Duration, want string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		resolved := d.resolve(path, n)
		switch v := resolved.(type) {
		case *ast.StringNode:
			value, err := parseDuration(v.Value, want)
			if err != nil {
				d.fail(n, path, "%v", err)
				return
			}
			*to = value
		case *ast.IntegerNode, *ast.FloatNode:
			if text := resolved.GetToken().Value; text != "0" {
				d.fail(n, path, "%s has no unit: write %ss for seconds, or %sms", text, text, text)
				return
			}
			*to = 0
		default:
			if !d.reported(path) {
				d.failAt(d.placeOf(path), path, "%s is no duration: %s", describe(resolved), want)
			}
		}
	}
}

// parseDuration reads 30s, 1m30s or 500ms.
func parseDuration(text, want string) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is no duration: %s", shorten(text), want)
	case value < 0:
		return 0, fmt.Errorf("%s is negative", text)
	}
	return value, nil
}

// integer decodes a number from least to most, or word (0) when there is one.
func (d *decoder) integer(to *int, least, most int, word string) func(string, ast.Node) {
	want := fmt.Sprintf("write %d to %d", least, most)
	if word != "" {
		want = fmt.Sprintf("write %s or %d to %d", word, max(least, 1), most)
	}
	return func(path string, n ast.Node) {
		n2 := d.resolve(path, n)
		if s, ok := n2.(*ast.StringNode); ok && word != "" && s.Value == word {
			*to = 0
			return
		}
		i, ok := n2.(*ast.IntegerNode)
		if !ok {
			if !d.reported(path) {
				d.failAt(d.placeOf(path), path, "%s is no whole number: %s", describe(n2), want)
			}
			return
		}
		value := int64(math.MaxInt64)
		switch v := i.Value.(type) {
		case int64:
			value = v
		case uint64:
			value = int64(min(v, math.MaxInt64))
		}
		if value < 0 {
			d.fail(n, path, "%s is negative: %s", i.Token.Value, want)
			return
		}
		if value < int64(least) || value > int64(most) {
			d.fail(n, path, "%s is out of range: %s", i.Token.Value, want)
			return
		}
		*to = int(value)
	}
}

// share decodes a number from 0 to 1.
func (d *decoder) share(to *float64) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		n2 := d.resolve(path, n)
		var value float64
		switch v := n2.(type) {
		case *ast.FloatNode:
			value = v.Value
		case *ast.IntegerNode:
			value, _ = strconv.ParseFloat(v.Token.Value, 64)
		default:
			if !d.reported(path) {
				d.failAt(d.placeOf(path), path, "%s is no number: write 0 to 1, such as 0.2", describe(n2))
			}
			return
		}
		if !(value >= 0 && value <= 1) {
			d.fail(n, path, "%s is out of range: write 0 to 1, such as 0.2", n2.GetToken().Value)
			return
		}
		*to = value
	}
}

// bytes decodes a size such as 512MiB, or the words auto (0) and off (-1).
func (d *decoder) bytes(to *int64) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		s, ok := d.text(path, n)
		if !ok {
			return
		}
		value, err := parseBytes(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*to = value
	}
}

func parseBytes(text string) (int64, error) {
	switch text {
	case "auto":
		return 0, nil
	case "off":
		return -1, nil
	}
	value, ok := bytesOf(text)
	if !ok || value == 0 {
		return 0, fmt.Errorf("%s is no size: write auto, off, or bytes such as 512MiB", shorten(text))
	}
	return value, nil
}

// size decodes a size such as 512MiB, or the word off (0).
func (d *decoder) size(to *int64) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		s, ok := d.text(path, n)
		if !ok {
			return
		}
		value, err := ParseSize(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*to = value
	}
}

// ParseSize reads a number of bytes as a config file has it: 1048576, 512KiB, 256MiB, 2GiB, 1TiB. The word off is 0.
func ParseSize(text string) (int64, error) {
	if text == "off" {
		return 0, nil
	}
	value, ok := bytesOf(text)
	if !ok {
		return 0, fmt.Errorf("%s is no size: write off, or bytes such as 512MiB", shorten(text))
	}
	return value, nil
}

// bytesOf reads a number of bytes that fits and is not negative.
func bytesOf(text string) (int64, bool) {
	number, unit := text, int64(1)
	for _, u := range []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}} {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	value, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || value < 0 || value > math.MaxInt64/unit {
		return 0, false
	}
	return value * unit, true
}

// absolute makes a path of the file absolute.
func (d *decoder) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

func (d *decoder) pathInto(to *string) func(string, ast.Node) {
	read := d.textInto(to)
	return func(path string, n ast.Node) {
		read(path, n)
		*to = d.absolute(*to)
	}
}

// pathOr decodes a path, or a word that is none.
func (d *decoder) pathOr(to *string, word string) func(string, ast.Node) {
	read := d.textInto(to)
	return func(path string, n ast.Node) {
		if read(path, n); *to != word {
			*to = d.absolute(*to)
		}
	}
}
