package file

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Change is one difference between two configs.
type Change struct {
	Path   string // such as apps.web.drain_timeout
	Old    string // as a file would have it; "" when it was not there
	New    string // "" when it is not there any more
	Effect string // api.EffectAtOnce, api.EffectRollout, api.EffectRestart, api.EffectStart, api.EffectStop
}

// Diff returns what differs between two configs and what applying new while old runs does, in the order of a file: the
// settings of the master first, then of apps and cached values, those that are only in new last. Defaults count as if they were
// written. Sources that are Go functions are not compared.
func Diff(old, new *config.Config) []Change {
	before, after := flatten(old), flatten(new)
	was, is := index(before), index(after)
	var changes []Change
	for _, section := range []string{"", "apps", "cache"} {
		done := map[name]bool{}
		for _, p := range slices.Concat(before, after) {
			if p.section == section && !done[p.name] {
				done[p.name] = true
				changes = append(changes, diffPart(p.name, was[p.name], is[p.name])...)
			}
		}
	}
	return changes
}

// part is the settings of the master, of an app or of a cached value.
type part struct {
	name
	settings []setting
}

// name is that of a part, such as apps and web; both empty: the master.
type name struct{ section, owner string }

// setting is one value as a file would have it; key is its path below the part, such as log.file.
type setting struct{ key, value string }

// flatten returns the settings of a config with its defaults.
func flatten(c *config.Config) []part {
	shown, _ := showFields(newDecoder(loader{}).configFields(c.WithDefaults())).(pairs)
	all := []part{{}}
	for _, p := range shown {
		if p.key != "apps" && p.key != "cache" {
			all[0].add(p)
			continue
		}
		owners, _ := p.value.(pairs)
		for _, o := range owners {
			one := part{name: name{p.key, o.key}}
			keys, _ := o.value.(pairs)
			for _, k := range keys {
				one.add(k)
			}
			all = append(all, one)
		}
	}
	return all
}

func (p *part) add(k pair) {
	walkLeaves(k.value, k.key, func(key, value string) { p.settings = append(p.settings, setting{key, value}) })
}

func index(parts []part) map[name][]setting {
	m := make(map[name][]setting, len(parts))
	for _, p := range parts {
		m[p.name] = p.settings
	}
	return m
}

// walkLeaves gives each setting in a shown value to yield, with its path from key on.
func walkLeaves(value any, key string, yield func(key, value string)) {
	switch v := value.(type) {
	case pairs:
		for _, p := range v {
			walkLeaves(p.value, config.Join(key, p.key), yield)
		}
	case []string:
		yield(key, "["+strings.Join(quoted(v), ", ")+"]")
	default:
		text := cmp.Or(fmt.Sprint(v), `""`)
		yield(key, text)
	}
}

// quoted quotes those of some texts that would not be clear without.
func quoted(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		if out[i] = s; s == "" || strings.ContainsAny(s, " ,[]\"'\t\n") {
			out[i] = strconv.Quote(s)
		}
	}
	return out
}

// diffPart compares the settings of one part; nil: it is not there.
func diffPart(of name, was, is []setting) (changes []Change) {
	path := ""
	if of.section != "" {
		path = config.Join(of.section, of.owner)
		switch {
		case was == nil:
			return []Change{{Path: path, New: summary(is), Effect: api.EffectStart}}
		case is == nil:
			return []Change{{Path: path, Old: summary(was), Effect: api.EffectStop}}
		}
		path += "."
	}
	for _, s := range was {
		if n, ok := find(is, s.key); !ok || n != s.value {
			changes = append(changes, Change{path + s.key, s.value, n, effect(of.section, s.key)})
		}
	}
	for _, s := range is {
		if _, ok := find(was, s.key); !ok {
			changes = append(changes, Change{path + s.key, "", s.value, effect(of.section, s.key)})
		}
	}
	return changes
}

func find(all []setting, key string) (value string, ok bool) {
	i := slices.IndexFunc(all, func(s setting) bool { return s.key == key })
	if i < 0 {
		return "", false
	}
	return all[i].value, true
}

// summary returns the setting that says best what an app or cached value is.
func summary(all []setting) string {
	for _, key := range []string{"command", "exec", "file", "sql.dsn"} {
		if value, ok := find(all, key); ok {
			return value
		}
	}
	return ""
}

// effect returns what a change of a setting does. The master, which does it, must agree.
func effect(section, key string) string {
	if section == "" && key == "log.level" {
		return api.EffectAtOnce
	}
	key, _, _ = strings.Cut(key, ".")
	switch section {
	case "":
		return api.EffectRestart
	case "cache":
		return api.EffectAtOnce
	}
	switch key {
	case "command", "dir", "env", "env_file", "gomaxprocs", "gomemlimit", "cpu_affinity":
		return api.EffectRollout
	case "listen", "policy", "steering", "on_overload", "overload_at":
		return api.EffectRestart
	}
	return api.EffectAtOnce
}
