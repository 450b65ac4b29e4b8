package file

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/tinehq/tine/supervisor/config"
)

// section makes a section of lines; nil: of none.
func section(entries []entry) ast.Node {
	if len(entries) == 0 {
		return nil
	}
	values := make([]*ast.MappingValueNode, len(entries))
	for i, e := range entries {
		t := e.name.GetToken()
		value := e.value
		if value == nil {
			value = ast.Null(token.New("", "", t.Position))
		}
		values[i] = ast.MappingValue(t, e.name, value)
	}
	return ast.Mapping(values[0].Start, false, values...)
}

// united makes one section of the sections of several files. A key that two files have is a fault, except apps and cache, whose
// entries are put together.
func (d *decoder) united(path string, roots []ast.Node) ast.Node {
	roots = slices.DeleteFunc(roots, func(n ast.Node) bool { return n == nil })
	switch len(roots) {
	case 0:
		return nil
	case 1:
		return roots[0]
	}
	var all []entry
	at := map[string]int{}
	parts := map[string][]ast.Node{}
	for _, root := range roots {
		for _, e := range d.entries(path, root) {
			if path == "" && isExtension(e.key) {
				continue
			}
			i, twice := at[e.key]
			if !twice {
				at[e.key] = len(all)
				all = append(all, e)
				parts[e.key] = []ast.Node{e.value}
				continue
			}
			if path == "" && (e.key == "apps" || e.key == "cache") {
				parts[e.key] = append(parts[e.key], e.value)
				continue
			}
			what := "is set twice"
			switch path {
			case "apps":
				what = "two apps have this name"
			case "cache":
				what = "two values have this key"
			}
			d.failAt(e.at, config.Join(path, e.key), "%s: the first is in %s", what, d.where(all[i].at, e.at))
		}
	}
	for i, e := range all {
		if p := parts[e.key]; len(p) > 1 {
			all[i].value = d.united(e.key, p)
		}
	}
	return section(all)
}

// overlaid merges the chosen environment over the root, and looks at the others.
func (d *decoder) overlaid(root ast.Node) ast.Node {
	chosen := d.loader.env
	var names []string
	var overlays []ast.Node
	for _, s := range d.sources {
		for _, n := range s.envs {
			for _, e := range d.entries("environments", n) {
				at := config.Join("environments", e.key)
				d.values[at] = e.at
				names = append(names, e.key)
				d.refuseInEnvironment(at, e.value)
				if e.key == chosen {
					overlays = append(overlays, e.value)
				} else {
					d.lookAt(at, e.value)
				}
			}
		}
	}
	if chosen == "" {
		return root
	}
	if !slices.Contains(names, chosen) {
		slices.Sort(names)
		names = slices.Compact(names)
		at := d.values["environments"]
		switch near := config.Suggest(chosen, names); {
		case len(names) == 0:
			d.failAt(place{}, "environments", "there are none, and %s is asked for", config.Shorten(chosen))
		case near != "":
			d.failAt(at, "environments", "no %s: did you mean %s?", config.Shorten(chosen), near)
		default:
			d.failAt(at, "environments", "no %s: there are %s", config.Shorten(chosen), strings.Join(names, ", "))
		}
		return root
	}
	return d.overlay("", root, d.united("", overlays))
}

// refuseInEnvironment reports keys that an environment cannot have, because they are read before it is chosen.
func (d *decoder) refuseInEnvironment(path string, n ast.Node) {
	values, _ := valuesOf(n)
	for _, v := range values {
		switch key, _ := keyText(v.Key); key {
		case "include", "env_file", "environments":
			d.failAt(placeOfNode(v.Key), config.Join(path, key), "cannot be in an environment: it is read before one is chosen")
		}
	}
}

// lookAt reports the faults of an environment that is not chosen, as far as they show without the rest of the config and
// without its variables.
func (d *decoder) lookAt(path string, n ast.Node) {
	aside := newDecoder(d.loader)
	aside.sources, aside.budget, aside.lenient = d.sources, d.budget, true
	aside.config(n)
	d.budget = aside.budget
	for _, e := range aside.errs {
		if e.Path = strings.TrimSuffix(path+"."+e.Path, "."); !slices.ContainsFunc(d.errs, func(o *config.Problem) bool { return o.Path == e.Path }) {
			d.errs = append(d.errs, e)
		}
	}
}

// overlay merges over into base: sections key by key, any other value in whole. A key with no value removes the key.
func (d *decoder) overlay(path string, base, over ast.Node) ast.Node {
	if over == nil {
		return base
	}
	if base == nil {
		return over
	}
	_, both := valuesOf(d.resolve(path, base))
	if _, ok := valuesOf(d.resolve(path, over)); !ok || !both {
		return over
	}
	all := d.entries(path, base)
	for _, e := range d.entries(path, over) {
		if path == "" && isExtension(e.key) {
			continue
		}
		i := slices.IndexFunc(all, func(b entry) bool { return b.key == e.key })
		at := config.Join(path, e.key)
		_, taken := e.value.(*ast.NullNode)
		switch {
		case taken && i >= 0:
			all = slices.Delete(all, i, i+1)
		case taken:
		case i < 0:
			all = append(all, e)
		default:
			merged := d.overlay(at, all[i].value, e.value)
			if merged == e.value {
				all[i] = e
			} else {
				all[i].value = merged
			}
		}
	}
	return section(all)
}
