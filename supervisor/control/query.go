package control

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// paramKind is what a parameter of a query may be.
type paramKind string

const (
	paramText paramKind = "text"
	paramInt  paramKind = "integer"
	paramID   paramKind = "id" // an unsigned integer
	paramBool paramKind = "boolean"
	paramTime paramKind = "time"
)

// param is one parameter of a query.
type param struct {
	name string
	kind paramKind
	help string
	min  int      // of an integer
	enum []string // of a text; none: any
}

// query is what a request asks for, checked against its route. The accessors panic
// for a name that the route does not have: that is a fault of this package.
type query struct {
	params []param
	values map[string]any
}

// parseQuery reads a query by the table. Whatever it does not know or cannot read is a
// *Refusal with 400: what would be passed over in silence is mostly a typing error.
func parseQuery(params []param, raw string, now time.Time) (query, error) {
	q := query{params: params, values: map[string]any{}}
	given, err := url.ParseQuery(raw)
	if err != nil {
		return q, api.Refuse(http.StatusBadRequest, "cannot read the query: %v", err)
	}
	for name, values := range given {
		p, ok := find(params, name)
		if !ok {
			r := api.Refuse(http.StatusBadRequest, "there is no parameter %q here", name)
			r.Field, r.Suggestion = name, api.Nearest(name, names(params))
			return q, r
		}
		if len(values) > 1 {
			return q, badParam(name, "it is given %d times", len(values))
		}
		if q.values[name], err = p.parse(values[0], now); err != nil {
			return q, err
		}
	}
	return q, nil
}

func find(params []param, name string) (param, bool) {
	for _, p := range params {
		if p.name == name {
			return p, true
		}
	}
	return param{}, false
}

func names(params []param) []string {
	all := make([]string, len(params))
	for i, p := range params {
		all[i] = p.name
	}
	return all
}

func badParam(name, format string, args ...any) *api.Refusal {
	r := api.Refuse(http.StatusBadRequest, format, args...)
	r.Field, r.Detail = name, "parameter "+name+": "+r.Detail
	return r
}

func (p param) parse(text string, now time.Time) (any, error) {
	switch p.kind {
	case paramInt:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, badParam(p.name, "%q is not a whole number", text)
		}
		if n < p.min {
			return nil, badParam(p.name, "%d is less than %d", n, p.min)
		}
		return n, nil
	case paramID:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, badParam(p.name, "%q is not an id", text)
		}
		return n, nil
	case paramBool:
		if text == "" { // ?follow
			return true, nil
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, badParam(p.name, "%q is neither true nor false", text)
		}
		return b, nil
	case paramTime:
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t, nil
		}
		ago, err := time.ParseDuration(text)
		if err != nil || ago < 0 {
			return nil, badParam(p.name, "%q is neither a time, such as 2006-01-02T15:04:05Z, nor how long ago, such as 10m", text)
		}
		return now.Add(-ago), nil
	}
	if len(p.enum) > 0 {
		if slices.Contains(p.enum, text) {
			return text, nil
		}
		r := badParam(p.name, "%q is none of %q", text, p.enum)
		r.Suggestion = api.Nearest(text, p.enum)
		return nil, r
	}
	return text, nil
}

// value returns a parameter, or the zero value where it was not given.
func value[T any](q query, name string) (T, bool) {
	if _, ok := find(q.params, name); !ok {
		panic("the route has no parameter " + name)
	}
	v, ok := q.values[name]
	if !ok {
		var zero T
		return zero, false
	}
	return v.(T), true
}

func (q query) text(name string) string { v, _ := value[string](q, name); return v }
func (q query) id(name string) uint64   { v, _ := value[uint64](q, name); return v }
func (q query) bool(name string) bool   { v, _ := value[bool](q, name); return v }

// integer returns nil where it was not given.
func (q query) integer(name string) *int {
	if v, ok := value[int](q, name); ok {
		return &v
	}
	return nil
}

func (q query) time(name string) time.Time { v, _ := value[time.Time](q, name); return v }
