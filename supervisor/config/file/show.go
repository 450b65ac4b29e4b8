package file

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"
	"github.com/tinehq/tine/supervisor/config"
)

// pairs is a section in the order in which a file would have it.
type pairs []pair

type pair struct {
	key   string
	value any
}

// YAML returns c as one file, with its includes, variables, environments and defaults filled in, which [Load] reads as the same
// config. Sources that are Go functions are left out.
func YAML(c *config.Config) []byte {
	full := c.WithDefaults()
	d := newDecoder(loader{})
	var b bytes.Buffer
	shown, _ := showFields(d.configFields(full)).(pairs)
	shown.write(&b, "")
	return b.Bytes()
}

// write writes a section in block style, whose lists are in one line each.
func (p pairs) write(b *bytes.Buffer, indent string) {
	for _, one := range p {
		fmt.Fprintf(b, "%s%s:", indent, scalar(one.key))
		switch v := one.value.(type) {
		case nil:
			b.WriteString("\n")
		case pairs:
			b.WriteString("\n")
			v.write(b, indent+"  ")
		case string:
			fmt.Fprintf(b, " %s\n", scalar(literal(v)))
		case []string:
			words := make([]string, len(v))
			for i, s := range v {
				words[i] = scalar(literal(s))
			}
			fmt.Fprintf(b, " [%s]\n", strings.Join(words, ", "))
		default:
			fmt.Fprintf(b, " %v\n", v)
		}
	}
}

// plain matches text that YAML reads as it stands, also in a list in one line.
var plain = regexp.MustCompile(`^([A-Za-z0-9_./$]|--?[A-Za-z])[A-Za-z0-9_./$@%+=~-]*( [A-Za-z0-9_./$@%+=~-]+)*$`)

// scalar writes text so that YAML reads it as text.
func scalar(text string) string {
	if plain.MatchString(text) && !strings.Contains(text, " -") && token.New(text, text, nil).Type == token.StringType {
		return text
	}
	return strconv.Quote(text)
}

// literal escapes text, so that Load finds no variable in it.
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

// FormatSize returns a number of bytes as a config file has it, in the largest unit without a remainder, such as 512KiB; 0 is off.
// [ParseSize] reads it.
func FormatSize(n int64) string {
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

// when shows the value only if it is set, for a key whose zero value cannot be written.
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
