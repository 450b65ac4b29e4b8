package topology

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
)

// Table is what a file says of one environment.
type Table struct {
	Environment string           // that was read; "": the file has none
	Members     []members.Member // in the order of the file; at least one, all ready
	Warnings    []*config.Problem
}

// Matches reports whether a pattern such as production|development names an environment. Pinus has such patterns in app.configure.
func Matches(pattern, environment string) bool {
	for name := range strings.SplitSeq(pattern, "|") {
		if strings.TrimSpace(name) == environment {
			return true
		}
	}
	return false
}

// Parse reads the text of a file, which name stands for in errors. All environments whose pattern matches are read; with environment
// "" the file must have one only. The error is a *[config.Problems].
func Parse(name string, text []byte, environment string) (Table, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	p := &parser{name: name, text: text, tokens: json.NewDecoder(bytes.NewReader(text)), ids: map[string]int{}, addresses: map[string]string{}}
	p.tokens.UseNumber()
	p.table.Environment = environment
	if len(bytes.TrimSpace(text)) == 0 {
		p.fail(0, "", "empty server configs: the file is empty")
	} else {
		p.file(environment)
	}
	if len(p.problems) == 0 && len(p.table.Members) == 0 {
		p.fail(0, p.table.Environment, "empty server configs: no server is there")
	}
	return p.table, config.JoinProblems(p.problems)
}

// parser walks through the tokens of one file. It collects faults, and stops at the first that is not JSON.
type parser struct {
	name      string
	text      []byte
	tokens    *json.Decoder
	table     Table
	problems  []*config.Problem
	broken    bool           // the rest of the file cannot be read
	ids       map[string]int // where each was first, as an offset
	addresses map[string]string
}

// file reads the top of the file: environments, or types where the file has none.
func (p *parser) file(environment string) {
	var environments, types []string
	read := 0
	p.object("", "an object of environments", func(key string, _ int) {
		if p.next() == '[' {
			types = append(types, key)
			p.servers(key, key)
			return
		}
		environments = append(environments, key)
		if environment != "" && !Matches(key, environment) || environment == "" && read > 0 {
			p.skip()
			return
		}
		read++
		p.table.Environment = cmp.Or(environment, key)
		p.object(key, "an object that has a list of servers for each type", func(kind string, _ int) { p.servers(kind, key+"."+kind) })
	})
	switch {
	case p.broken:
	case len(types) > 0 && len(environments) > 0:
		p.fail(0, "", "%s is a list of servers, and %s is not: either all keys at the top are types, or all are environments", types[0], environments[0])
	case len(environments) > 1 && environment == "":
		p.fail(0, "", "the file has the environments %s: choose one with env", strings.Join(environments, ", "))
	case len(types) == 0 && read == 0 && len(environments) > 0:
		text := "its environments are " + strings.Join(environments, ", ")
		if near := config.Suggest(environment, environments); near != "" {
			text = "did you mean " + near + "? " + text
		}
		p.fail(0, "", "the environment %q is not in the file: %s", environment, text)
	}
}

// servers reads the list of one type.
func (p *parser) servers(kind, path string) {
	at := p.at()
	if p.next() != '[' {
		p.wrong(path, "a list of servers")
		return
	}
	p.token()
	for i := 0; !p.broken && p.tokens.More(); i++ {
		p.server(kind, fmt.Sprintf("%s[%d]", path, i))
	}
	p.token()
	if kind == "" {
		p.fail(at, path, "a type has no name")
	}
}

// next is the first byte of the next value or key; 0: there is none.
func (p *parser) next() byte {
	if at := p.at(); at < len(p.text) {
		return p.text[at]
	}
	return 0
}

// at is the offset of the next token.
func (p *parser) at() int {
	at := int(p.tokens.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) token() json.Token {
	if p.broken {
		return nil
	}
	t, err := p.tokens.Token()
	if err != nil {
		p.syntax(err)
		return nil
	}
	return t
}

// skip passes over the next value.
func (p *parser) skip() {
	var v json.RawMessage
	if p.broken {
		return
	}
	if err := p.tokens.Decode(&v); err != nil {
		p.syntax(err)
	}
}

func (p *parser) syntax(err error) {
	p.broken = true
	at, text := len(p.text), "the file ends too early, as one that is being written does"
	if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
		at, text = min(int(e.Offset), len(p.text)), "the file is not JSON: "+e.Error()
		// Token says where the wrong character is, Decode where it ends.
		if at > 0 && (at == len(p.text) || !strings.Contains(text, strconv.QuoteRune(rune(p.text[at])))) {
			at--
		}
	}
	p.fail(at, "", "%s", text)
}

// object reads the next value, which is an object, and calls each for its keys: that reads the value.
func (p *parser) object(path, expected string, each func(key string, at int)) {
	if p.next() != '{' {
		p.wrong(path, expected)
		return
	}
	p.token()
	first := map[string]int{}
	for !p.broken && p.tokens.More() {
		at := p.at()
		key, ok := p.token().(string)
		if !ok {
			return
		}
		if line, twice := first[key]; twice {
			p.fail(at, join(path, key), "is there twice: first in line %d", p.line(line))
			p.skip()
			continue
		}
		first[key] = at
		each(key, at)
	}
	p.token()
	if path == "" && !p.broken {
		if rest := bytes.TrimSpace(p.text[p.tokens.InputOffset():]); len(rest) > 0 {
			p.fail(len(p.text)-len(rest), "", "something follows the end of the object")
		}
	}
}

// wrong passes over a value that is not what was expected.
func (p *parser) wrong(path, expected string) {
	at := p.at()
	p.skip()
	if !p.broken {
		p.fail(at, path, "%s is expected, and this is %s", expected, config.Shorten(string(p.text[at:p.tokens.InputOffset()])))
	}
}

func (p *parser) fail(at int, path, format string, args ...any) {
	p.problems = append(p.problems, p.problem(at, path, format, args...))
}

func (p *parser) problem(at int, path, format string, args ...any) *config.Problem {
	from := bytes.LastIndexByte(p.text[:at], '\n') + 1
	line, _, _ := bytes.Cut(p.text[from:], []byte("\n"))
	return &config.Problem{
		File: p.name, Line: p.line(at), Column: utf8.RuneCount(p.text[from:at]) + 1, Path: path,
		Message: fmt.Sprintf(format, args...), Source: string(bytes.TrimRight(line, "\r")),
	}
}

func (p *parser) line(at int) int { return bytes.Count(p.text[:at], []byte("\n")) + 1 }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
