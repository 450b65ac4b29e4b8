package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write the reference of CONFIG.md anew")

// keySchema is what the reference needs of a JSON Schema.
type keySchema struct {
	Description string
	Ref         string `json:"$ref"`
	Type        any
	Enum        []string
	Minimum     *float64
	Maximum     *float64
	Items       *keySchema
	AnyOf       []*keySchema
	Properties  map[string]*keySchema
	Additional  json.RawMessage       `json:"additionalProperties"` // false, or what each member of a section is whose names a file chooses
	Defs        map[string]*keySchema `json:"$defs"`
}

// values says what a key takes, in words; the sections that it may be have rows of their own.
func (k *keySchema) values() (words []string) {
	one := func(word string) {
		if word != "" && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	switch {
	case k.Ref == "#/$defs/variable":
	case k.Ref != "":
		one("a " + strings.TrimPrefix(k.Ref, "#/$defs/"))
	case len(k.Enum) > 0:
		one(strings.Join(k.Enum, ", "))
	case len(k.AnyOf) > 0:
		for _, a := range k.AnyOf {
			for _, word := range a.values() {
				one(word)
			}
		}
	case k.Minimum != nil && k.Maximum != nil:
		one(fmt.Sprintf("%.10g to %.10g", *k.Minimum, *k.Maximum))
	case k.Items != nil:
		one("a list")
	case k.Properties != nil:
		one("keys")
	case k.Type == "object":
		one("a map")
	case k.Type == "boolean":
		one("true, false")
	case k.Type != nil:
		one("text")
	}
	return words
}

// reference is the table of all keys below a section, in the order of the alphabet.
func (k *keySchema) reference(out *strings.Builder, path string) {
	for _, key := range slices.Sorted(maps.Keys(k.Properties)) {
		p := k.Properties[key]
		text := strings.ReplaceAll(p.Description, "|", "\\|")
		fmt.Fprintf(out, "| `%s%s` | %s | %s |\n", path, key, strings.Join(p.values(), "; "), text)
		p.reference(out, path+key+".")
		for _, a := range p.AnyOf {
			a.reference(out, path+key+".")
			var member keySchema
			if json.Unmarshal(a.Additional, &member) == nil {
				for _, m := range append(member.AnyOf, &member) {
					m.reference(out, path+key+".NAME.")
				}
			}
		}
	}
}

// TestConfigReference holds the reference in CONFIG.md equal to the schema, which is made of the tables that a config is
// decoded with.
func TestConfigReference(t *testing.T) {
	schema, err := exec.Command(tinePath, "config", "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	var root keySchema
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n| key | takes | |\n|---|---|---|\n")
	root.reference(&b, "")
	root.Defs["app"].reference(&b, "apps.NAME.")
	root.Defs["value"].reference(&b, "cache.KEY.")
	b.WriteString("\n")

	page, err := os.ReadFile("CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- reference -->\n", "<!-- end of reference -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("CONFIG.md has no place between %q and %q", begin, end)
	}
	want := before + begin + b.String() + end + after
	switch {
	case want == string(page):
	case *updateDocs:
		if err := os.WriteFile("CONFIG.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("the reference is not that of the schema: go test ./cmd/tine -run TestConfigReference -update-docs")
	}
	if n := strings.Count(b.String(), "\n"); n < 60 {
		t.Errorf("the reference has %d lines: the schema is read wrongly", n)
	}
}

// documents are all Markdown files of the project.
func documents(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Skipf("cannot list the documents: not a checkout: %v", err)
	}
	files := strings.Fields(string(out))
	if len(files) < 5 {
		t.Fatalf("only %d documents: %q", len(files), files)
	}
	return files
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	dropped = regexp.MustCompile("[^a-z0-9 _-]+")
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchor is the fragment that leads to a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// TestDocLinks: each link of a document leads to a file that is there, and to a heading that the file has.
func TestDocLinks(t *testing.T) {
	links := 0
	for _, file := range documents(t) {
		page, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(fenced.ReplaceAll(page, nil)), -1) {
			links++
			if strings.Contains(match[1], "://") {
				continue
			}
			target, fragment, _ := strings.Cut(match[1], "#")
			path := filepath.Join("../..", filepath.Dir(file), target)
			if target == "" {
				path = filepath.Join("../..", file)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
				continue
			}
			if fragment == "" || info.IsDir() {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(heading.FindAllStringSubmatch(string(fenced.ReplaceAll(text, nil)), -1),
				func(h []string) bool { return anchor(h[1]) == fragment }) {
				t.Errorf("%s links to %s: %s has no such heading", file, match[1], path)
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links were found", links)
	}
}

// TestReadmeIsShort: what a newcomer needs fits into 200 lines. The rest has documents of its own.
func TestReadmeIsShort(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte("\n")); n > 200 {
		t.Errorf("README.md has %d lines", n)
	}
}
