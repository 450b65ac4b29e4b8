package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// pairs is a section in the order in which a file would have it.
type pairs []pair

type pair struct {
	key   string
	value any
}

// YAML returns the config as one file with all includes, variables, environments and defaults worked in, which [Load]
// reads as the same config. What can only be said in Go is not in it.
func (c *Config) YAML() ([]byte, error) {
	full := c.WithDefaults()
	d := newDecoder(loader{})
	text, err := yaml.MarshalWithOptions(showFields(d.configFields(full)).(pairs).mapSlice(), yaml.UseSingleQuote(false))
	if err != nil {
		return nil, fmt.Errorf("cannot write the config as YAML: %w", err)
	}
	return text, nil
}

func (p pairs) mapSlice() yaml.MapSlice {
	out := make(yaml.MapSlice, 0, len(p))
	for _, one := range p {
		value := one.value
		switch v := value.(type) {
		case pairs:
			value = v.mapSlice()
		case string:
			value = literal(v)
		case []string:
			list := make([]string, len(v))
			for i, s := range v {
				list[i] = literal(s)
			}
			value = list
		}
		out = append(out, yaml.MapItem{Key: one.key, Value: value})
	}
	return out
}

// literal writes text so that a file that has it means the text itself and no variable.
func literal(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if text[i] == '$' && i+1 < len(text) && (text[i+1] == '$' || text[i+1] == '{') {
			b.WriteByte('$')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// showFields returns pairs, or nil when none of the fields is set.
func showFields(fields []field) any {
	var p pairs
	for _, f := range fields {
		if f.show == nil {
			continue
		}
		if v := f.show(); v != nil {
			p = append(p, pair{f.key, v})
		}
	}
	if p == nil {
		return nil
	}
	return p
}

func showText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func showList(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return l
}

func showMap(m map[string]string) any {
	var p pairs
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p = append(p, pair{k, m[k]})
	}
	if p == nil {
		return nil
	}
	return p
}

// showDuration writes 1m rather than 1m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func showSize(n int64) string {
	if n == 0 {
		return "off"
	}
	for _, u := range byteUnits {
		if n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// when shows the value only where it is set: its zero value has no meaning of its own.
func (c codec) when(set func() bool) codec {
	show := c.show
	c.show = func() any {
		if !set() {
			return nil
		}
		return show()
	}
	return c
}
