package file

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/tinehq/tine/supervisor/config"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// fill returns the scalar n with its variables replaced, of the kind that the result looks like: ${N} with 4 is a number. If a
// variable is missing it returns nil, and has reported that.
func (d *decoder) fill(path string, n ast.Node, text string, at place) ast.Node {
	if !strings.Contains(text, "$$") && !strings.Contains(text, "${") {
		return n
	}
	out, known := d.filled[n]
	if !known {
		out = d.fillAnew(path, text, at)
		d.filled[n] = out
	}
	if out == nil {
		// That it has no value now is not a second fault.
		d.meant[path] = true
	}
	return out
}

func (d *decoder) fillAnew(path string, text string, at place) ast.Node {
	source := d.sourceOf(at)
	result, bad, err := expand(text, func(name string) (string, bool) { return d.variable(source, name) }, 0)
	if err != nil {
		if !d.lenient {
			d.failAt(d.find(at, bad), path, "%v", err)
		}
		return nil
	}
	pos := &token.Position{Line: at.line, Column: at.column}
	if strings.Contains(text, "${") {
		switch t := token.New(result, result, pos); t.Type {
		case token.IntegerType:
			return ast.Integer(t)
		case token.FloatType:
			return ast.Float(t)
		case token.BoolType:
			return ast.Bool(t)
		}
	}
	return ast.String(token.String(result, result, pos))
}

// find returns the place of a text in the scalar at another place; that place if the text is not found.
func (d *decoder) find(at place, text string) place {
	s := d.sourceOf(at)
	for i := at.line - s.base; i >= 1 && i <= len(s.lines); i++ {
		line := []rune(s.lines[i-1])
		from := 0
		if i == at.line-s.base {
			from = min(max(at.column-1, 0), len(line))
		}
		if before, _, ok := strings.Cut(string(line[from:]), text); ok {
			return place{s.base + i, from + len([]rune(before)) + 1}
		}
	}
	return at
}

// variable looks a name up for a file: the environment that the master was started with wins over env_file.
func (d *decoder) variable(s *source, name string) (string, bool) {
	if d.loader.lookup != nil {
		if v, ok := d.loader.lookup(name); ok {
			return v, true
		}
	}
	v, ok := s.vars[name]
	return v, ok
}

// maxDefaults bounds how many defaults are within each other.
const maxDefaults = 20

// cutBrace cuts text at the brace that closes one before it. Between them braces go in pairs, as in JSON and in
// ${A:-${B}}.
func cutBrace(text string) (inside, after string, closed bool) {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open == 0 {
				return text[:i], text[i+1:], true
			}
			open--
		}
	}
	return text, "", false
}

// expand replaces ${NAME}, ${NAME:-DEFAULT} (for a variable that is missing or empty) and $$, which is one $. In a default
// braces go in pairs, and variables are replaced too. Any other $ stands for itself. bad is the part of the text that an error
// is about; depth is how many defaults the text is in.
func expand(text string, lookup func(string) (string, bool), depth int) (result, bad string, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), "", nil
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			inside, after, closed := cutBrace(rest[1:])
			if !closed {
				return "", "${", fmt.Errorf("${ is never closed: write ${NAME}, or $${ for the characters themselves")
			}
			bad := "${" + inside
			name, fallback, has := strings.Cut(inside, ":-")
			if !variableName.MatchString(name) {
				return "", bad, fmt.Errorf("%s is not a variable: write ${NAME} or ${NAME:-default}, or $${ for the characters themselves", config.Shorten("${"+inside+"}"))
			}
			value, ok := lookup(name)
			switch {
			case has && value == "":
				if depth >= maxDefaults {
					return "", bad, fmt.Errorf("more than %d defaults within each other", maxDefaults)
				}
				if value, bad, err = expand(fallback, lookup, depth+1); err != nil {
					return "", bad, err
				}
			case !ok:
				return "", bad, fmt.Errorf("no variable %s: set it, or write ${%s:-default}", name, name)
			}
			b.WriteString(value)
			text = after
		default:
			b.WriteByte('$')
			text = rest
		}
	}
}
