package target

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

// All names all apps of a master where an app's name can stand.
const All = "all"

// Chosen returns the apps of st that a name means: an app, all of a namespace, or
// all of the master for its own name, for "all" and for none.
func Chosen(st control.Status, name string) ([]control.App, error) {
	var names []string
	var space []control.App
	for _, a := range st.Apps {
		if a.Name == name {
			return []control.App{a}, nil
		}
		if a.Namespace != "" && a.Namespace == name {
			space = append(space, a)
		}
		names = append(names, a.Name)
		if a.Namespace != "" && !slices.Contains(names, a.Namespace) {
			names = append(names, a.Namespace)
		}
	}
	if len(space) > 0 {
		return space, nil
	}
	if name == "" || name == All || name == st.Name {
		return st.Apps, nil
	}
	err := control.Unknown("app", name, names)
	if err.Suggestion == "" && len(st.Apps) > 0 && len(st.Apps) <= 8 {
		err.Detail += fmt.Sprintf(" (there is %s)", strings.Join(names, ", "))
	}
	return nil, err
}

// Single returns the one app that an order is for: the only one, where none is named.
func (r *Running) Single(name, verb string) (control.App, error) {
	apps, err := Chosen(r.Seen, name)
	switch {
	case err != nil:
		return control.App{}, err
	case len(apps) == 1:
		return apps[0], nil
	case len(apps) == 0:
		return control.App{}, fmt.Errorf("%s runs no app", cmp.Or(r.Seen.Name, "tine"))
	}
	return control.App{}, term.Usagef("which app to %s? There is %s", verb, strings.Join(appNames(apps), ", "))
}

func appNames(apps []control.App) (names []string) {
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}
