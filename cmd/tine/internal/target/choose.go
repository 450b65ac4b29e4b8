package target

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// All stands for all apps of a master in place of the name of one.
const All = "all"

// Chosen returns the apps of st that a name means: an app, all apps of a namespace, or all of the master, whose name is its
// own, All or empty. For a name that means nothing the error is an *UnknownAppError.
func Chosen(st api.Status, name string) ([]api.App, error) {
	var names []string
	var space []api.App
	for _, a := range st.Apps {
		if a.Name == name {
			return []api.App{a}, nil
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
	err := api.Unknown("app", name, names)
	if err.Suggestion == "" && len(st.Apps) > 0 && len(st.Apps) <= 8 {
		err.Detail += fmt.Sprintf(" (there is %s)", strings.Join(names, ", "))
	}
	return nil, &UnknownAppError{err}
}

// UnknownAppError is the refusal of a name that no app, namespace or master has. It is a *api.Refusal too.
type UnknownAppError struct{ *api.Refusal }

// Unwrap returns the refusal.
func (e *UnknownAppError) Unwrap() error { return e.Refusal }

// Single returns the one app that a command with that verb is for: the app of that name or, without a name, the only app of
// the master. If there are several, the error lists them.
func (r *Running) Single(name, verb string) (api.App, error) {
	apps, err := Chosen(r.Seen, name)
	switch {
	case err != nil:
		return api.App{}, err
	case len(apps) == 1:
		return apps[0], nil
	case len(apps) == 0:
		return api.App{}, fmt.Errorf("%s runs no app", cmp.Or(r.Seen.Name, "tine"))
	}
	return api.App{}, term.Usagef("which app to %s? There is %s", verb, strings.Join(appNames(apps), ", "))
}

func appNames(apps []api.App) (names []string) {
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}
