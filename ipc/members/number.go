package members

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Number says where a number is in a JSON document: names of fields and indices of lists with dots between them, as in disks.0.free. It may be
// taken from another number, and multiplied or divided by one:
//
//	cpu.idle     cpu.idle * 0.01     memory.free_kb * 1024     1 - cpu.busy / 100
//
// A field whose name has a dot or a blank cannot be named.
type Number struct {
	path  []string
	from  float64 // the number is from - value; NaN: it is the value
	times float64
}

// ParseNumber reads the text of a Number.
func ParseNumber(text string) (Number, error) {
	n := Number{from: math.NaN(), times: 1}
	words := strings.Fields(text)
	fail := func() (Number, error) {
		return Number{}, fmt.Errorf("%q is not the place of a number: write names of fields with dots between them, such as cpu.idle, and where needed * 0.01, / 100 or 1 - before or behind it", text)
	}
	if len(words) >= 3 && words[1] == "-" {
		from, err := strconv.ParseFloat(words[0], 64)
		if err != nil || !finite(from) {
			return fail()
		}
		n.from, words = from, words[2:]
	}
	if len(words) == 3 {
		by, err := strconv.ParseFloat(words[2], 64)
		switch {
		case err != nil || !finite(by):
			return fail()
		case words[1] == "*":
			n.times = by
		case words[1] == "/" && by != 0:
			n.times = 1 / by
		default:
			return fail()
		}
		words = words[:1]
	}
	if len(words) != 1 {
		return fail()
	}
	n.path = strings.Split(words[0], ".")
	for _, name := range n.path {
		if name == "" {
			return fail()
		}
	}
	return n, nil
}

// In finds the number in a document that encoding/json has decoded into an any. there is false where there is nothing, or null. A text that is
// a number counts as one; the error says what is there instead of a number.
func (n Number) In(document any) (value Value, there bool, err error) {
	at := document
	for _, name := range n.path {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return 0, false, nil
			}
			at = v[i]
		default:
			return 0, false, nil
		}
	}
	if at == nil {
		return 0, false, nil
	}
	if value, err = strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(at)), 64); err != nil {
		return 0, false, fmt.Errorf("%.40q at %s, which is not a number", fmt.Sprint(at), strings.Join(n.path, "."))
	}
	value *= n.times
	if !math.IsNaN(n.from) {
		value = n.from - value
	}
	if !finite(value) {
		return 0, false, fmt.Errorf("%v at %s, which is not a number that can be used", at, strings.Join(n.path, "."))
	}
	return value, true, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
