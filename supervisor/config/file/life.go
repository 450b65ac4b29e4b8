package file

import (
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/supervisor/config"
)

// hook decodes a section, or a command alone.
func (d *decoder) hook(to *config.Hook) codec {
	command := d.command(&to.Command).then(func(path string, n ast.Node) {
		if len(to.Command) == 0 && !d.reported(path) {
			d.fail(n, path, "no command: write the program to run, such as [./notify, ready]")
		}
	})
	return d.short("command", []field{
		{"command", command},
		{"timeout", d.duration(&to.Timeout).when(func() bool { return to.Timeout != 0 })},
	})
}

// dependsOn decodes a section of apps, or a list of those that must be ready.
func (d *decoder) dependsOn(to *map[string]string) codec {
	return codec{
		func(path string, n ast.Node) {
			*to = map[string]string{}
			switch d.resolve(path, n).(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				for _, e := range d.entries(path, n) {
					at := config.Join(path, e.key)
					d.values[at] = d.valuePlace(e)
					if s, ok := d.text(at, e.value); ok {
						(*to)[e.key] = s
					}
				}
			default:
				var names []string
				d.list(&names, nil).decode(path, n)
				for i, name := range names {
					d.placeByName(path, i, name)
					(*to)[name] = config.DependsReady
				}
			}
		},
		anyOf(textSchema(), listSchema(textSchema()), mapSchema(enumSchema(config.DependsReady, config.DependsExited))),
		func() any { return showMap(*to) },
	}
}

// placeByName has the faults of the entry i of a list told at its place, also by its name.
func (d *decoder) placeByName(path string, i int, name string) {
	at, ok := d.values[config.Index(path, i)]
	if !ok {
		at = d.values[path]
	}
	d.values[config.Join(path, name)] = at
}

// watch decodes a section, paths alone, or whether to watch the app's folder.
func (d *decoder) watch(to *config.Watch) codec {
	c := d.short("paths", []field{
		{"paths", d.list(&to.Paths, d.absolute)},
		{"ignore", d.list(&to.Ignore, nil)},
		{"debounce", d.duration(&to.Debounce).when(func() bool { return to.Debounce != 0 })},
	})
	read := c.decode
	c.decode = func(path string, n ast.Node) {
		if b, ok := d.resolve(path, n).(*ast.BoolNode); ok {
			to.Folder = b.Value
			return
		}
		read(path, n)
	}
	c.schema = anyOf(&schema{Type: "boolean"}, c.schema)
	return c
}

// atStart decodes whether an app is run at the start, the opposite of to.
func (d *decoder) atStart(to *bool) codec {
	is := !*to
	c := d.boolean(&is).then(func(string, ast.Node) { *to = !is })
	c.show = func() any {
		if *to {
			return false
		}
		return nil
	}
	return c
}

// stopTimeout decodes a duration, or the words auto (0) and off (-1).
func (d *decoder) stopTimeout(to *time.Duration) codec {
	const want = "write auto, off, 30s or 1m30s"
	c := d.durationAs(to, want).then(func(path string, n ast.Node) {
		if *to == 0 && !d.reported(path) {
			d.fail(n, path, "0 is not a time to stop in: %s", want)
		}
	})
	return orWords(d, c, to, meaning[time.Duration]{"auto", 0}, meaning[time.Duration]{"off", config.StopTimeoutOff})
}
