package pm2

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// source is an app of the ecosystem file, of which what has been read is taken out.
type source struct {
	i    *importer
	name string
	cwd  string // its folder; "": that of the file
	keys map[string]any
	out  []line
}

// take returns the first of some keys that is there.
func (s *source) take(keys ...string) (value any, key string) {
	for _, k := range keys {
		if v, ok := s.keys[k]; ok {
			delete(s.keys, k)
			if value == nil && v != nil {
				value, key = v, k
			}
		}
	}
	return value, key
}

func (s *source) text(keys ...string) (string, bool) {
	v, key := s.take(keys...)
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, v != ""
	case json.Number, bool:
		return fmt.Sprint(v), true
	}
	s.i.note(s.name, key, "is not text and was left out")
	return "", false
}

// milliseconds reads 1600, "1600", or with a unit "10s", "1h".
func (s *source) milliseconds(keys ...string) (time.Duration, bool) {
	text, ok := s.text(keys...)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n < 1e12 {
		return time.Duration(n * float64(time.Millisecond)), true
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, true
	}
	s.i.note(s.name, keys[0], "%q is not a time and was left out", text)
	return 0, false
}

func (s *source) put(key, value, comment string) { s.out = append(s.out, line{key, value, comment}) }

// list reads one text or a list of them.
func (s *source) list(keys ...string) []string {
	v, key := s.take(keys...)
	switch v := v.(type) {
	case nil:
	case []any:
		var all []string
		for _, one := range v {
			switch one := one.(type) {
			case string, json.Number, bool:
				all = append(all, fmt.Sprint(one))
			default:
				s.i.note(s.name, key, "has something that is not text; it was left out")
			}
		}
		return all
	case string:
		return []string{v}
	default:
		s.i.note(s.name, key, "is not a list and was left out")
	}
	return nil
}

// words reads a list, or one text that is split at blanks outside of quotes.
func (s *source) words(keys ...string) []string {
	v, key := s.take(keys...)
	if text, ok := v.(string); ok {
		var out []string
		for _, m := range wordPattern.FindAllString(text, -1) {
			out = append(out, strings.NewReplacer(`"`, "", `'`, "").Replace(m))
		}
		return out
	}
	if v == nil {
		return nil
	}
	s.keys[key] = v
	return s.list(key)
}

var wordPattern = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)
