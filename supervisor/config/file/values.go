package file

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/supervisor/config"
)

// codec is one kind of value: how it is decoded from a file, its schema, and how a file would have it.
type codec struct {
	decode func(path string, n ast.Node)
	schema *schema
	show   func() any // nil: not set. Else a string, int, float64, bool, []string or pairs
}

// then does more after a value was decoded, or was found wrong.
func (c codec) then(more func(path string, n ast.Node)) codec {
	read := c.decode
	c.decode = func(path string, n ast.Node) { read(path, n); more(path, n) }
	return c
}

// meaning is a word that stands for a value of T, such as off for 0.
type meaning[T comparable] struct {
	word  string
	value T
}

// orWords is a codec for to that also takes some words.
func orWords[T comparable](d *decoder, c codec, to *T, words ...meaning[T]) codec {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.word
	}
	return codec{
		func(path string, n ast.Node) {
			told := len(d.errs)
			s, _ := d.resolve(path, n).(*ast.StringNode)
			if len(d.errs) > told {
				return // of an anchor or a tag; decode would tell it again
			}
			if i := slices.IndexFunc(words, func(w meaning[T]) bool { return s != nil && s.Value == w.word }); i >= 0 {
				*to = words[i].value
				return
			}
			c.decode(path, n)
		},
		anyOf(enumSchema(all...), c.schema),
		func() any {
			if i := slices.IndexFunc(words, func(w meaning[T]) bool { return *to == w.value }); i >= 0 {
				return words[i].word
			}
			return c.show()
		},
	}
}

// wrong tells what is wrong with the value at path, unless that is told already.
func (d *decoder) wrong(path, format string, args ...any) {
	if !d.reported(path) {
		d.failAt(d.placeOf(path), path, format, args...)
	}
}

// text decodes a scalar of any kind as it is written.
func (d *decoder) text(path string, n ast.Node) (string, bool) {
	original := n
	n = d.resolve(path, n)
	switch v := n.(type) {
	case nil:
		d.wrong(path, "has no value: write one, or remove the key")
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		if whole := unquoted(n); whole != "" {
			d.fail(original, path, "%s is read as a section here: put it in quotes, %s", whole, strconv.Quote(whole))
			break
		}
		d.fail(original, path, "%s is not text", describe(n))
	}
	return "", false
}

// unquoted returns the text that a section of one line was probably meant to be, such as an address: between braces the colon
// in 127.0.0.1:7181 counts as one behind a key. Empty: it looks like a section.
func unquoted(n ast.Node) string {
	values, _ := valuesOf(n)
	if len(values) != 1 || values[0].Value == nil {
		return ""
	}
	key, plain := keyText(values[0].Key)
	if _, scalar := values[0].Value.(ast.ScalarNode); !plain || !scalar {
		return ""
	}
	value := values[0].Value.GetToken()
	from, colon, to := placeOfNode(values[0].Key), placeOfToken(values[0].Start), placeOfToken(value)
	if colon != (place{from.line, from.column + utf8.RuneCountInString(key)}) || to != (place{colon.line, colon.column + 1}) {
		return ""
	}
	return key + ":" + value.Value
}

func (d *decoder) textInto(to *string) codec {
	return codec{
		func(path string, n ast.Node) {
			if s, ok := d.text(path, n); ok {
				if strings.ContainsRune(s, 0) {
					d.fail(n, path, "contains a zero byte")
					return
				}
				*to = s
			}
		},
		textSchema(),
		func() any { return showText(*to) },
	}
}

// word decodes one of some words. That it is one of them is checked by [config.Faults].
func (d *decoder) word(to *string, words ...string) codec {
	c := d.textInto(to)
	c.schema = enumSchema(words...)
	return c
}

// pathInto decodes the path of a file or folder.
func (d *decoder) pathInto(to *string) codec {
	return d.textInto(to).then(func(_ string, n ast.Node) { *to = d.absolute(n, *to) })
}

// pathOr decodes a path, or a word that stands for no path.
func (d *decoder) pathOr(to *string, word string) codec {
	return d.textInto(to).then(func(_ string, n ast.Node) {
		if *to != word {
			*to = d.absolute(n, *to)
		}
	})
}

// absolute makes a path absolute that node n has, relative to the folder of its file.
func (d *decoder) absolute(n ast.Node, path string) string {
	return config.InFolder(d.folderOf(n), path)
}

// folderOf is the folder that relative paths at n are relative to: that of the file.
func (d *decoder) folderOf(n ast.Node) string { return d.sourceOf(placeOfNode(n)).dir }

// list decodes one text or a list of them. each, if it is not nil, changes every one of them.
func (d *decoder) list(to *[]string, each func(ast.Node, string) string) codec {
	return codec{
		func(path string, n ast.Node) {
			*to = nil
			add := func(path string, n ast.Node) {
				if s, ok := d.text(path, n); ok {
					if each != nil {
						s = each(n, s)
					}
					*to = append(*to, s)
				}
			}
			if list, ok := d.resolve(path, n).(*ast.SequenceNode); ok {
				for i, v := range list.Values {
					d.values[config.Index(path, i)] = placeOfNode(v)
					add(config.Index(path, i), v)
				}
				return
			}
			add(path, n)
		},
		anyOf(textSchema(), listSchema(textSchema())),
		func() any { return showList(*to) },
	}
}

// env decodes a section of variables.
func (d *decoder) env(to *map[string]string) codec {
	return codec{
		func(path string, n ast.Node) {
			*to = map[string]string{}
			for _, e := range d.entries(path, n) {
				at := config.Join(path, e.key)
				d.values[at] = d.valuePlace(e)
				if d.resolve(at, e.value) == nil {
					// A variable may be empty.
					(*to)[e.key] = ""
					continue
				}
				if s, ok := d.text(at, e.value); ok {
					(*to)[e.key] = s
				}
			}
		},
		mapSchema(anyOf(textSchema(), &schema{Type: "null"})),
		func() any { return showMap(*to) },
	}
}

// boolean decodes true or false.
func (d *decoder) boolean(to *bool) codec {
	return codec{
		func(path string, n ast.Node) {
			switch v := d.resolve(path, n).(type) {
			case *ast.BoolNode:
				*to = v.Value
			default:
				d.wrong(path, "%s is neither true nor false", describe(v))
			}
		},
		anyOf(&schema{Type: "boolean"}, variableSchema()),
		func() any {
			if !*to {
				return nil
			}
			return true
		},
	}
}

// sectionOf decodes a section of fields.
func (d *decoder) sectionOf(fields []field) codec {
	return codec{
		func(path string, n ast.Node) { d.section(path, n, fields, nil) },
		sectionSchema(fields),
		func() any { return showFields(fields) },
	}
}

// short decodes a section that may be given as the value of one of its keys alone.
func (d *decoder) short(key string, fields []field) codec {
	c := d.sectionOf(fields)
	f := fields[slices.IndexFunc(fields, func(f field) bool { return f.key == key })]
	c.decode = func(path string, n ast.Node) {
		switch d.resolve(path, n).(type) {
		case *ast.StringNode, *ast.LiteralNode, *ast.SequenceNode:
			d.values[config.Join(path, key)] = d.values[path]
			f.decode(config.Join(path, key), n)
		default:
			d.section(path, n, fields, nil)
		}
	}
	c.schema = anyOf(f.schema, c.schema)
	return c
}

const someDuration = "write 30s, 1m30s or 500ms"

func (d *decoder) duration(to *time.Duration) codec { return d.durationAs(to, someDuration) }

// optional decodes a duration, or the word off (0).
func (d *decoder) optional(to *time.Duration) codec {
	return orWords(d, d.durationAs(to, "write off, 30s, 1m30s or 500ms"), to, meaning[time.Duration]{"off", 0})
}

// durationAs decodes a duration; want says in its messages what to write.
func (d *decoder) durationAs(to *time.Duration, want string) codec {
	read := func(path string, n ast.Node) {
		resolved := d.resolve(path, n)
		switch v := resolved.(type) {
		case *ast.StringNode:
			value, err := parseDuration(v.Value, want)
			if err != nil {
				d.fail(n, path, "%v", err)
				return
			}
			*to = value
		case *ast.IntegerNode, *ast.FloatNode:
			if text := resolved.GetToken().Value; strings.Trim(text, "0123456789.") != "" {
				d.fail(n, path, "%s is not a duration: %s", text, want)
				return
			} else if text != "0" {
				d.fail(n, path, "%s has no unit: write %ss for seconds, or %sms", text, text, text)
				return
			}
			*to = 0
		default:
			d.wrong(path, "%s is not a duration: %s", describe(resolved), want)
		}
	}
	return codec{read, &schema{Ref: "#/$defs/duration"}, func() any { return showDuration(*to) }}
}

// parseDuration reads 30s, 1m30s or 500ms.
func parseDuration(text, want string) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration: %s", config.Shorten(text), want)
	case value < 0:
		return 0, fmt.Errorf("%s is negative", text)
	}
	return value, nil
}

// integer decodes a number from least to most, or word (0) when there is one.
func (d *decoder) integer(to *int, least, most int, word string) codec {
	if word == "" {
		return d.integerAs(to, least, most, fmt.Sprintf("write %d to %d", least, most), variableSchema())
	}
	c := d.integerAs(to, least, most, fmt.Sprintf("write %s or %d to %d", word, max(least, 1), most))
	return orWords(d, c, to, meaning[int]{word, 0})
}

// integerAs decodes a number from least to most; want says in its messages what to write. It is shown from least on.
func (d *decoder) integerAs(to *int, least, most int, want string, or ...*schema) codec {
	return codec{
		func(path string, n ast.Node) {
			n2 := d.resolve(path, n)
			i, ok := n2.(*ast.IntegerNode)
			if !ok {
				d.wrong(path, "%s is not a whole number: %s", describe(n2), want)
				return
			}
			if err := config.CheckWhole(i.Token.Value); err != nil {
				d.fail(n, path, "%v", err)
				return
			}
			value := int64(math.MaxInt64)
			switch v := i.Value.(type) {
			case int64:
				value = v
			case uint64:
				value = int64(min(v, math.MaxInt64))
			}
			switch {
			case value < 0:
				d.fail(n, path, "%s is negative: %s", i.Token.Value, want)
			case value < int64(least) || value > int64(most):
				d.fail(n, path, "%s is out of range: %s", i.Token.Value, want)
			default:
				*to = int(value)
			}
		},
		anyOf(append([]*schema{integerSchema(least, most)}, or...)...),
		func() any {
			if *to < least {
				return nil
			}
			return *to
		},
	}
}

// share decodes a number from 0 to 1.
func (d *decoder) share(to *float64) codec {
	return codec{
		func(path string, n ast.Node) {
			n2 := d.resolve(path, n)
			var value float64
			switch v := n2.(type) {
			case *ast.FloatNode:
				value = v.Value
			case *ast.IntegerNode:
				if err := config.CheckWhole(v.Token.Value); err != nil {
					d.fail(n, path, "%v", err)
					return
				}
				value, _ = strconv.ParseFloat(v.Token.Value, 64) // of digits: at worst it is infinite
			default:
				d.wrong(path, "%s is not a number: write 0 to 1, such as 0.2", describe(n2))
				return
			}
			if !(value >= 0 && value <= 1) {
				d.fail(n, path, "%s is out of range: write 0 to 1, such as 0.2", n2.GetToken().Value)
				return
			}
			*to = value
		},
		anyOf(&schema{Type: "number", Minimum: new(float64(0)), Maximum: new(float64(1))}, variableSchema()),
		func() any { return *to },
	}
}

// memory decodes a size such as 512MiB, or the words auto (0) and off (-1).
func (d *decoder) memory(to *int64) codec {
	parse := func(text string) (int64, error) {
		value, ok := bytesOf(text)
		if !ok || value == 0 {
			return 0, fmt.Errorf("%s is not a size: write auto, off, or bytes such as 512MiB", config.Shorten(text))
		}
		return value, nil
	}
	return orWords(d, d.sizeAs(to, parse), to, meaning[int64]{"auto", 0}, meaning[int64]{"off", -1})
}

// size decodes a size such as 512MiB, or the word off (0).
func (d *decoder) size(to *int64) codec {
	return orWords(d, d.sizeAs(to, ParseSize), to, meaning[int64]{"off", 0})
}

func (d *decoder) sizeAs(to *int64, parse func(string) (int64, error)) codec {
	read := func(path string, n ast.Node) {
		s, ok := d.text(path, n)
		if !ok {
			return
		}
		value, err := parse(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*to = value
	}
	return codec{read, &schema{Ref: "#/$defs/size"}, func() any { return FormatSize(*to) }}
}

// ParseSize reads a number of bytes as a config file has it: 1048576, 512KiB, 256MiB, 2GiB, 1TiB. The word off is 0. The error
// says what to write.
func ParseSize(text string) (int64, error) {
	if text == "off" {
		return 0, nil
	}
	value, ok := bytesOf(text)
	if !ok {
		return 0, fmt.Errorf("%s is not a size: write off, or bytes such as 512MiB", config.Shorten(text))
	}
	return value, nil
}

var byteUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// bytesOf reads a number of bytes that fits and is not negative.
func bytesOf(text string) (int64, bool) {
	number, unit := text, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	if number = strings.TrimSpace(number); config.CheckWhole(number) != nil {
		return 0, false
	}
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil || value < 0 || value > math.MaxInt64/unit {
		return 0, false
	}
	return value * unit, true
}
