package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// readBody reads a body of at most limit bytes within bodyTimeout.
func (rq *request) readBody(limit int64) ([]byte, error) {
	tooLarge := api.Refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", limit)
	if rq.r.ContentLength > limit {
		rq.w.dropBody()
		return nil, tooLarge
	}
	body := http.MaxBytesReader(rq.w, rq.r.Body, limit)
	var data []byte
	var err error
	if n := rq.r.ContentLength; n > 0 { // at once, not in growing pieces
		data = make([]byte, n)
		_, err = io.ReadFull(body, data)
	} else {
		data, err = io.ReadAll(body)
	}
	if len(data) > largeBody {
		memory.giveBack()
	}
	if err == nil {
		rq.w.setReadDeadline(time.Time{})
		return data, nil
	}
	rq.w.dropBody()
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, api.Refuse(http.StatusRequestTimeout, "the body did not come within %s", bodyTimeout)
	}
	return nil, api.Refuse(http.StatusBadRequest, "cannot read the body: %v", err)
}

// noBody refuses a body where none is looked at. A client that sent one expects something
// of it, and net/http would wait for it.
func (rq *request) noBody() error {
	if rq.r.ContentLength == 0 {
		rq.w.setReadDeadline(time.Time{})
		return nil
	}
	rq.w.dropBody()
	return api.Refuse(http.StatusBadRequest, "%s %s takes no body", rq.r.Method, rq.r.URL.Path)
}

// decodeBody reads a JSON object into the struct that to points to, and returns the
// names of the fields that were there. Only the allowed ones may be. It is stricter
// than encoding/json, which passes over much: what is wrong is a *Refusal with the
// field and the position. An empty body is an empty object.
func decodeBody(data []byte, to any, allowed []string) (map[string]bool, error) {
	given := map[string]bool{}
	if len(bytes.TrimSpace(data)) == 0 {
		return given, nil
	}
	if !json.Valid(data) {
		var any json.RawMessage
		err := json.Unmarshal(data, &any)
		var syntax *json.SyntaxError
		offset := len(data)
		if errors.As(err, &syntax) {
			offset = int(syntax.Offset) - 1
		}
		return nil, badBody(data, offset, "", "the body is not JSON: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, badBody(data, 0, "", "the body is not a JSON object")
	}
	fields := fieldsOf(to)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, badBody(data, int(d.InputOffset()), "", "cannot read the body: %v", err)
		}
		name := t.(string) // of an object's key, in valid JSON
		keyEnd := int(d.InputOffset())
		at := keyEnd - len(name) - 2
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, badBody(data, keyEnd, name, "cannot read the body: %v", err)
		}
		field, ok := fields[name]
		switch {
		case !ok || !slices.Contains(allowed, name):
			r := badBody(data, at, name, "there is no field %q here", name)
			if len(allowed) > 0 {
				r.Detail += fmt.Sprintf(", only %s", strings.Join(allowed, ", "))
			}
			r.Suggestion = api.Nearest(name, allowed)
			return nil, r
		case given[name]:
			return nil, badBody(data, at, name, "the field %q is there twice", name)
		}
		if string(raw) == "null" {
			continue
		}
		given[name] = true
		if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
			return nil, badBody(data, int(d.InputOffset())-len(raw), name, "the field %q is not %s", name, kindName(field.Type()))
		}
	}
	return given, nil
}

// fieldsOf are the fields of a struct by their names in JSON.
func fieldsOf(to any) map[string]reflect.Value {
	v := reflect.ValueOf(to).Elem()
	all := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "-" && name != "" {
			all[name] = v.Field(i)
		}
	}
	return all
}

func kindName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "text"
}

// badBody points at an offset of the body.
func badBody(data []byte, offset int, field, format string, args ...any) *api.Refusal {
	r := api.Refuse(http.StatusBadRequest, format, args...)
	before := data[:max(0, min(offset, len(data)))]
	r.Field = field
	r.Line = bytes.Count(before, []byte("\n")) + 1
	r.Column = len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	r.Detail += fmt.Sprintf(" (line %d, column %d)", r.Line, r.Column)
	return r
}
