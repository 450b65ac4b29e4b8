package file

import (
	"maps"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
)

// The words of score.best.
const (
	bestLowest  = "lowest"
	bestHighest = "highest"
)

// score decodes how members are scored; one text is the formula.
func (d *decoder) score(s *policy.Score) codec {
	best := d.oneOf(&s.HighestWins, bestLowest, bestHighest)
	c := d.short("formula", []field{
		{"multipliers", d.multipliers(&s.Multipliers)},
		{"raw", d.boolean(&s.Raw)},
		{"formula", d.textInto(&s.Formula)},
		{"best", best.when(func() bool { return s.Formula != "" })},
	})
	return c.when(func() bool { return !s.IsZero() })
}

// evaluate decodes how the gateway's workers ask members; one text is the URL.
func (d *decoder) evaluate(to **policy.Evaluate) codec {
	e := *to
	if e == nil {
		e = &policy.Evaluate{}
	}
	c := d.short("url", []field{
		{"mode", d.word(&e.Mode, policy.Modes...)},
		{"url", d.textInto(&e.URL)},
		{"stats", d.statistics(&e.Stats)},
		{"request_timeout", d.duration(&e.RequestTimeout).when(func() bool { return e.RequestTimeout != 0 })},
		{"valid_timeout", d.duration(&e.ValidTimeout).when(func() bool { return e.ValidTimeout != 0 })},
	}).then(func(string, ast.Node) { *to = e })
	return c.when(func() bool { return *to != nil })
}

// oneOf decodes one of two words.
func (d *decoder) oneOf(to *bool, no, yes string) codec {
	return codec{
		func(path string, n ast.Node) {
			switch s, _ := d.text(path, n); s {
			case no, yes:
				*to = s == yes
			default:
				d.wrong(path, "%s is neither %s nor %s", config.Shorten(s), no, yes)
			}
		},
		enumSchema(no, yes),
		func() any {
			if *to {
				return yes
			}
			return no
		},
	}
}

// multipliers decodes numbers by the names of statistics.
func (d *decoder) multipliers(to *map[members.Stat]float64) codec {
	return codec{
		func(path string, n ast.Node) {
			*to = map[members.Stat]float64{}
			for _, e := range d.entries(path, n) {
				at := config.Join(path, e.key)
				d.values[at] = d.valuePlace(e)
				value := d.resolve(at, e.value)
				switch value.(type) {
				case *ast.FloatNode, *ast.IntegerNode:
					if v, err := strconv.ParseFloat(value.GetToken().Value, 64); err == nil {
						(*to)[members.Stat(e.key)] = v
						continue
					}
				}
				d.wrong(at, "%s is not a number: write one such as 1 or 0.5", describe(value))
			}
		},
		mapSchema(anyOf(&schema{Type: "number"}, variableSchema())),
		func() any {
			var p pairs
			for _, name := range slices.Sorted(maps.Keys(*to)) {
				p = append(p, pair{string(name), (*to)[name]})
			}
			if p == nil {
				return nil
			}
			return p
		},
	}
}

// statistics decodes where each statistic is in an answer.
func (d *decoder) statistics(to *map[members.Stat]string) codec {
	plain := map[string]string{}
	for name, at := range *to {
		plain[string(name)] = at
	}
	c := d.env(&plain)
	c.schema = mapSchema(textSchema())
	return c.then(func(string, ast.Node) {
		*to = make(map[members.Stat]string, len(plain))
		for name, at := range plain {
			(*to)[members.Stat(name)] = at
		}
	})
}
