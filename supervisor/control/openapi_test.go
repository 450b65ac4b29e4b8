package control

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/tinehq/tine/supervisor/control/api"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// The document is made of the table of routes, which the requests are checked by, and
// of the Go types with their comments. This test makes it and compares.
func TestOpenAPIIsOfTheRoutes(t *testing.T) {
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(document(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPI, want.Bytes()) {
		t.Error("openapi.json is not what the routes and types say: go test ./supervisor/control -run OpenAPI -update")
	}
}

type object = map[string]any

func document(t *testing.T) object {
	docs := comments(t)
	schemas := object{"Problem": schemaOf(reflect.TypeFor[api.Refusal](), docs, nil)}
	paths := object{}
	for _, r := range routes() {
		path := strings.ReplaceAll(r.path, "...}", "}")
		var params []any
		for part := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				name = strings.TrimSuffix(name, "}")
				help := map[string]string{"app": "the app's name; for an order, - is all apps", "key": "the value's key, which may contain /"}[name]
				params = append(params, object{"name": name, "in": "path", "required": true, "description": help, "schema": object{"type": "string"}})
			}
		}
		for _, p := range r.params {
			params = append(params, object{"name": p.name, "in": "query", "description": p.help, "schema": p.schema()})
		}
		for _, p := range r.headers {
			if p.name != "Accept" { // is told by the answers
				params = append(params, object{"name": p.name, "in": "header", "description": p.help, "schema": p.schema()})
			}
		}
		op := object{"summary": r.summary, "operationId": operationID(r.method, path), "responses": answersOf(r, docs, schemas)}
		if params != nil {
			op["parameters"] = params
		}
		switch r.body.(type) {
		case nil:
		case []byte:
			op["requestBody"] = object{"required": true, "content": object{typeBytes: object{"schema": object{"type": "string", "format": "binary"}}}}
		default:
			schema := schemaOf(reflect.TypeOf(r.body), docs, schemas)
			props := schema["properties"].(object)
			for name := range props {
				if !slices.Contains(r.fields, name) {
					delete(props, name)
				}
			}
			schema["required"] = r.needs
			if r.needs == nil {
				delete(schema, "required")
			}
			delete(schema, "description")
			schema["additionalProperties"] = false
			op["requestBody"] = object{"required": r.needs != nil, "content": object{typeJSON: object{"schema": schema}}}
		}
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(r.method)] = op
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Tine", "version": "1",
			"description": "What a running master answers at its control socket. " +
				"Times are RFC 3339 to the millisecond. The end of a number's name is its unit: _s seconds, _ms milliseconds, _bytes bytes. " +
				"Within a version fields are added, never renamed or removed. " +
				"Every error is a problem document (RFC 9457).",
		},
		"servers":    []any{object{"url": "http://tine", "description": "over the Unix socket; the host does not matter"}},
		"paths":      paths,
		"components": object{"schemas": schemas},
	}
}

func operationID(method, path string) string {
	id := strings.ToLower(method)
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune("/{}.", r) }) {
		if part != "v1" {
			id += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return id
}

func answersOf(r route, docs map[string]string, schemas object) object {
	all := object{"default": object{
		"description": "a problem",
		"content":     object{typeProblem: object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
	}}
	for _, a := range r.answers {
		code := fmt.Sprint(a.status)
		if all[code] == nil {
			all[code] = object{"description": map[int]string{200: "done", 204: "done", 500: "begun, and came to nothing"}[a.status]}
		}
		if a.contentType == "" {
			continue
		}
		content, _ := all[code].(object)["content"].(object)
		if content == nil {
			content = object{}
			all[code].(object)["content"] = content
		}
		var schema object
		switch a.doc.(type) {
		case []byte:
			schema = object{"type": "string", "format": "binary"}
		default:
			schema = schemaOf(reflect.TypeOf(a.doc), docs, schemas)
		}
		media := object{"schema": schema}
		if a.contentType == typeLines || a.contentType == typeEvents {
			// What 3.1 has no word for: one item of a stream.
			schema["description"] = map[string]string{typeLines: "one such object a line", typeEvents: "one such object as the data of each event, with its id"}[a.contentType]
		}
		kind, _, _ := strings.Cut(a.contentType, ";")
		content[kind] = media
	}
	if strings.HasPrefix(r.path, "/v1/cache/{") && r.method == "GET" {
		all["200"].(object)["headers"] = object{
			headerEpoch:  object{"description": "of its last change", "schema": object{"type": "integer"}},
			headerAge:    object{"description": "seconds since it changed", "schema": object{"type": "number"}},
			headerSource: object{"description": "who set it", "schema": object{"type": "string"}},
			headerError:  object{"description": "why it was not confirmed at the last attempt", "schema": object{"type": "string"}},
		}
	}
	return all
}

func (p param) schema() object {
	switch p.kind {
	case paramInt:
		return object{"type": "integer", "minimum": p.min}
	case paramID:
		return object{"type": "integer", "minimum": 0}
	case paramBool:
		return object{"type": "boolean"}
	}
	s := object{"type": "string"}
	if p.enum != nil {
		s["enum"] = p.enum
	}
	return s
}

// schemaOf follows encoding/json. Structs become components where schemas is not nil,
// and those of requests are copied in place.
func schemaOf(t reflect.Type, docs map[string]string, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), docs, schemas)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		return object{"type": "array", "items": schemaOf(t.Elem(), docs, schemas)}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return object{"type": "integer"}
	case t.Kind() == reflect.Map:
		return object{"type": "object"}
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if schemas != nil && schemas[name] != nil {
		return object{"$ref": "#/components/schemas/" + name}
	}
	properties, required := object{}, []string{}
	schema := object{"type": "object", "properties": properties}
	if doc := docs[t.Name()]; doc != "" {
		schema["description"] = doc
	}
	if schemas != nil && t != reflect.TypeFor[api.Order]() {
		schemas[name] = schema
	}
	for f := range t.Fields() {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" {
			continue
		}
		property := schemaOf(f.Type, docs, schemas)
		if f.Type.Kind() == reflect.Pointer && !strings.Contains(options, "omitempty") {
			property = object{"oneOf": []any{property, object{"type": "null"}}}
		}
		if doc := docs[t.Name()+"."+f.Name]; doc != "" {
			property["description"] = doc
		}
		properties[tag] = property
		if !strings.Contains(options, "omit") {
			required = append(required, tag)
		}
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	if schemas == nil || t == reflect.TypeFor[api.Order]() {
		return schema
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// comments are those of the types and their fields in the source.
func comments(t *testing.T) map[string]string {
	all := map[string]string{}
	for _, name := range []string{"api/types.go", "api/gateways.go", "api/refusal.go", "wire.go", "../../ipc/decisions/decision.go", "../../ipc/tallies/tally.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				spec := spec.(*ast.TypeSpec)
				all[spec.Name.Name] = oneLine(general.Doc.Text())
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, n := range f.Names {
							all[spec.Name.Name+"."+n.Name] = oneLine(f.Doc.Text() + " " + f.Comment.Text())
						}
					}
				}
			}
		}
	}
	return all
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Every answer that the server gives fits the document that it serves.
func TestAnswersFitTheDocument(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	f := &fake{events: ids(1, 3), values: map[string][]byte{"price": []byte("7")}}
	s := New(f, Options{Path: folder(t) + "/web.sock", Doctor: func() any { return map[string]int{} }})
	s.Handle("GET /v1/metrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeText)
		io.WriteString(w, "tine_up 1\n")
	}))
	s.Handle("GET /v1/load", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeJSON)
		io.WriteString(w, `{"epoch":1,"sequence":1,"received_at":0}`)
	}))
	s.Handle("GET /v1/profile", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeBytes)
	}))
	start(t, s)
	bodies := map[string]string{api.VerbScale: `{"n":2}`, api.VerbDrain: `{"slot":0}`, api.VerbSignal: `{"signal":"HUP"}`}
	seen := 0
	for _, r := range routes() {
		path := strings.ReplaceAll(r.path, "...}", "}")
		item := doc.Paths.Find(path)
		if item == nil || item.GetOperation(r.method) == nil {
			t.Errorf("the document has no %s %s", r.method, path)
			continue
		}
		op := item.GetOperation(r.method)
		target := strings.NewReplacer("{app}", "web", "{key...}", "price").Replace(r.path)
		query := url.Values{}
		for _, p := range r.params { // each that the document names is taken
			if op.Parameters.GetByInAndName("query", p.name) == nil {
				t.Errorf("%s %s: the document has no parameter %s", r.method, r.path, p.name)
			}
			if p.name != "follow" {
				query.Set(p.name, map[paramKind]string{paramInt: "1", paramID: "1", paramBool: "true", paramTime: "1h"}[p.kind])
			}
		}
		query.Del("stream")
		if len(query) > 0 {
			target += "?" + query.Encode()
		}
		for _, a := range r.answers {
			if a.status >= 400 {
				continue
			}
			// An accepted stream of events goes on for ever unless it is told not to.
			to := target
			if a.contentType == typeEvents {
				to += "&follow=false"
			}
			body := bodies[r.path[strings.LastIndex(r.path, "/")+1:]]
			if _, raw := r.body.([]byte); raw {
				body = "7"
			}
			status, kind, answer := ask(t, s, r.method, to, body, "Accept", a.contentType)
			if status != a.status || kind != a.contentType {
				t.Errorf("%s %s answers %d %q, want %d %q: %s", r.method, to, status, kind, a.status, a.contentType, answer)
				continue
			}
			seen++
			if a.contentType == "" {
				continue
			}
			mediaType, _, _ := strings.Cut(kind, ";")
			media := op.Responses.Status(status).Value.Content.Get(mediaType)
			if media == nil {
				t.Errorf("%s %s: the document has no %d %s", r.method, path, status, kind)
				continue
			}
			for _, one := range itemsOf(kind, answer) {
				var v any
				if err := json.Unmarshal([]byte(one), &v); err != nil {
					t.Errorf("%s %s: %v in %s", r.method, to, err, one)
				} else if err := media.Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
					t.Errorf("%s %s: %s does not fit the document: %v", r.method, to, one, err)
				}
			}
		}
	}
	if seen < len(routes()) {
		t.Errorf("only %d answers were looked at, of %d routes", seen, len(routes()))
	}
	// And nothing in it that there is not.
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			i := slices.IndexFunc(routes(), func(r route) bool {
				return r.method == method && strings.ReplaceAll(r.path, "...}", "}") == path
			})
			if i < 0 {
				t.Errorf("the document has %s %s, and the server has not", method, path)
				continue
			}
			for _, p := range op.Parameters {
				if _, ok := find(routes()[i].params, p.Value.Name); p.Value.In == "query" && !ok {
					t.Errorf("%s %s: the document has a parameter %s", method, path, p.Value.Name)
				}
			}
		}
	}
}

// itemsOf are the JSON documents of an answer.
func itemsOf(kind, answer string) []string {
	var all []string
	switch kind {
	case typeJSON:
		return []string{answer}
	case typeLines:
		return strings.Split(strings.TrimSpace(answer), "\n")
	case typeEvents:
		for line := range strings.Lines(answer) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				all = append(all, data)
			}
		}
	}
	return all
}
