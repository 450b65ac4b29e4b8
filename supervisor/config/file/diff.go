package file

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
)

// What a [Change] of a config does when it is applied.
const (
	EffectAtOnce  = "at once"         // to what runs
	EffectRollout = "rollout"         // of the app's workers, one at a time
	EffectRestart = "restart of tine" // only then: until it is started again Tine runs with the old value
	EffectStart   = "start"           // of an app or of a cached value's source
	EffectStop    = "stop"            // of an app or of a cached value's source, after its work is done
)

// Change is one difference between two configs.
type Change struct {
	Path   string // such as apps.web.drain_timeout
	Old    string // as a file would have it; "" when it was not there
	New    string // "" when it is not there any more
	Effect string // EffectAtOnce, EffectRollout, EffectRestart, EffectStart, EffectStop
}

// String is the change in one line. It leaves out the values of variables, which may be secret.
func (c Change) String() string {
	show := func(value string) string {
		switch {
		case value == "":
			return "none"
		case strings.Contains(c.Path, ".env."):
			return "(a value)"
		}
		return value
	}
	switch c.Effect {
	case EffectStart, EffectStop:
		return c.Path + ": " + c.Effect
	}
	return fmt.Sprintf("%s: %s -> %s (%s)", c.Path, show(c.Old), show(c.New), c.Effect)
}

// Diff returns what differs between two configs and what applying new while old runs does, in the order of a file: the
// settings of the master first. Defaults count as if they were written. Sources that are Go functions are not compared.
func Diff(old, new *config.Config) []Change {
	a, b := flatten(old), flatten(new)
	var changes []Change
	for _, section := range []struct {
		name     string
		old, new []leaf
	}{{"", a.top, b.top}, {"apps", a.apps, b.apps}, {"cache", a.cache, b.cache}} {
		changes = append(changes, diffSection(section.name, section.old, section.new)...)
	}
	return changes
}

// leaf is one setting. owner is the app or cached value that it is of.
type leaf struct{ owner, key, path, value string }

type leaves struct{ top, apps, cache []leaf }

// flatten returns the settings of a config with its defaults.
func flatten(c *config.Config) leaves {
	d := newDecoder(loader{})
	var out leaves
	shown, _ := showFields(d.configFields(c.WithDefaults())).(pairs)
	for _, p := range shown {
		switch p.key {
		case "apps", "cache":
			to := &out.apps
			if p.key == "cache" {
				to = &out.cache
			}
			owners, _ := p.value.(pairs)
			for _, o := range owners {
				keys, _ := o.value.(pairs)
				for _, k := range keys {
					walkLeaves(k.value, k.key, func(key, value string) {
						*to = append(*to, leaf{o.key, key, config.Join(p.key, o.key) + "." + key, value})
					})
				}
			}
		default:
			walkLeaves(p.value, p.key, func(key, value string) { out.top = append(out.top, leaf{"", key, key, value}) })
		}
	}
	return out
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
		text := fmt.Sprint(v)
		if text == "" {
			text = `""`
		}
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

func diffSection(section string, old, new []leaf) []Change {
	before, after := byOwner(old), byOwner(new)
	var changes []Change
	owners := append(owners(old), owners(new)...)
	done := map[string]bool{}
	for _, owner := range owners {
		if done[owner] {
			continue
		}
		done[owner] = true
		was, is := before[owner], after[owner]
		if section != "" && (was == nil || is == nil) {
			c := Change{Path: config.Join(section, owner), Effect: EffectStart, New: summary(is)}
			if is == nil {
				c.Effect, c.New, c.Old = EffectStop, "", summary(was)
			}
			changes = append(changes, c)
			continue
		}
		for _, l := range was {
			if n, ok := find(is, l.key); !ok || n.value != l.value {
				changes = append(changes, Change{l.path, l.value, n.value, effect(section, l.key)})
			}
		}
		for _, l := range is {
			if _, ok := find(was, l.key); !ok {
				changes = append(changes, Change{l.path, "", l.value, effect(section, l.key)})
			}
		}
	}
	return changes
}

func byOwner(all []leaf) map[string][]leaf {
	m := map[string][]leaf{}
	for _, l := range all {
		m[l.owner] = append(m[l.owner], l)
	}
	return m
}

func owners(all []leaf) []string {
	var names []string
	for _, l := range all {
		if len(names) == 0 || names[len(names)-1] != l.owner {
			names = append(names, l.owner)
		}
	}
	return names
}

func find(all []leaf, key string) (leaf, bool) {
	i := slices.IndexFunc(all, func(l leaf) bool { return l.key == key })
	if i < 0 {
		return leaf{}, false
	}
	return all[i], true
}

// summary is what an app or cached value is, in a word.
func summary(all []leaf) string {
	for _, key := range []string{"command", "exec", "file", "sql.dsn"} {
		if l, ok := find(all, key); ok {
			return l.value
		}
	}
	return ""
}

// effect says what a change of a setting does: see carryThrough, which does it.
func effect(section, key string) string {
	if section == "" && key == "log.level" {
		return EffectAtOnce
	}
	key, _, _ = strings.Cut(key, ".")
	switch section {
	case "":
		return EffectRestart
	case "cache":
		return EffectAtOnce
	}
	switch key {
	case "command", "dir", "env", "env_file", "gomaxprocs", "gomemlimit", "cpu_affinity":
		return EffectRollout
	case "listen", "policy", "steering", "on_overload", "overload_at":
		return EffectRestart
	}
	return EffectAtOnce
}
