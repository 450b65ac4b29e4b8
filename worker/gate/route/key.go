package route

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// KeyOf returns what reads a key of a request, as policy.ParseKey has it; it returns "" for a request that has none. nil: the client's
// address, which is the default of package proxy.
func KeyOf(text string) (func(*http.Request) string, error) {
	k, err := policy.ParseKey(text)
	if err != nil {
		return nil, err
	}
	switch k.Kind {
	case policy.KeyPath:
		return func(r *http.Request) string { return r.URL.Path }, nil
	case policy.KeyHost:
		return func(r *http.Request) string { return hostOf(r.Host) }, nil
	case policy.KeyHeader:
		name := http.CanonicalHeaderKey(k.Name)
		return func(r *http.Request) string { return r.Header.Get(name) }, nil
	case policy.KeyCookie:
		return func(r *http.Request) string { return Cookie(r, k.Name) }, nil
	case policy.KeyQuery:
		return func(r *http.Request) string { return Query(r, k.Name) }, nil
	case policy.KeySegment:
		return func(r *http.Request) string { return segment(r.URL.Path, k.N) }, nil
	case policy.KeyJSON:
		fields := strings.Split(k.Name, ".")
		return func(r *http.Request) string { return field(r, fields) }, nil
	}
	return nil, nil
}

// Cookie is the value of a request's first cookie of a name; "": there is none.
func Cookie(r *http.Request, name string) string {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			if n, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && n == name {
				return strings.Trim(value, `"`)
			}
		}
	}
	return ""
}

// Query is the first value of a parameter of a request's query; "": there is none.
func Query(r *http.Request, name string) string {
	for rest := r.URL.RawQuery; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		n, value, _ := strings.Cut(part, "=")
		if n != name {
			if !strings.ContainsAny(n, "%+") {
				continue
			}
			if plain, err := url.QueryUnescape(n); err != nil || plain != name {
				continue
			}
		}
		if strings.ContainsAny(value, "%+") {
			if plain, err := url.QueryUnescape(value); err == nil {
				return plain
			}
		}
		return value
	}
	return ""
}

// segment is the nth of a path, from 1.
func segment(path string, n int) (found string) {
	path = strings.TrimPrefix(path, "/")
	for range n {
		if path == "" {
			return ""
		}
		found, path, _ = strings.Cut(path, "/")
	}
	return found
}

// field is that of a JSON object in the body: a string, or the text of a number, true or false.
func field(r *http.Request, names []string) string {
	b, err := proxy.PeekBody(r, policy.MostKeyBody)
	if err != nil || len(b) == 0 {
		return ""
	}
	for _, name := range names {
		var object map[string]json.RawMessage
		if json.Unmarshal(b, &object) != nil {
			return ""
		}
		b = object[name]
	}
	return Scalar(b)
}

// Scalar is a JSON string without its quotes, or a number, true or false as it is written; "": it is anything else.
func Scalar(b json.RawMessage) string {
	if len(b) == 0 {
		return ""
	}
	switch b[0] {
	case '"':
		var s string
		if json.Unmarshal(b, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(b)
}
