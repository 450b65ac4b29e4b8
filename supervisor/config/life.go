package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/civil"
)

const (
	defaultHookTimeout = 30 * time.Second
	defaultDebounce    = 200 * time.Millisecond
	maxDependencies    = 1000
)

// Hooks are commands that are run at moments in the life of an app's workers. The log tells of one that fails or takes too
// long; only a failure of BeforeStart has a consequence.
type Hooks struct {
	BeforeStart Hook // before the first worker of a start or rollout is started; if it fails, the start fails
	AfterReady  Hook // after all workers of a start or rollout have become ready
	BeforeDrain Hook // before a worker is told to drain, which waits for it, but at most for half of DrainTimeout
	OnCrash     Hook // after a worker has ended without an order to
}

// Hook is one command, and how long it may take. In a file it may be the command alone.
type Hook struct {
	Command []string      // program and arguments; empty: no hook. From a file: a program with a slash is relative to the file's own folder
	Timeout time.Duration // until it is killed; default 30s
}

// Watch says which files, when they change, have the workers replaced. It is meant for development. In a file it may be the
// paths alone, or true for the app's own folder.
type Watch struct {
	Paths    []string      // files, folders with all that is in them, and patterns of path.Match, also for files to come; empty: nothing is watched. From a file: relative to its folder
	Ignore   []string      // patterns of path.Match, for a name anywhere (*.log, node_modules) or, with a slash, a path below one of Paths
	Debounce time.Duration // how long no file must change after a change until it counts, at least 10ms; default 200ms

	// Folder is for package config/file, while it reads watch: true of an app whose Dir it does not know yet. Else false.
	Folder bool
}

func (h *Hooks) fill() {
	for _, hook := range []*Hook{&h.BeforeStart, &h.AfterReady, &h.BeforeDrain, &h.OnCrash} {
		if len(hook.Command) > 0 {
			setDefault(&hook.Timeout, defaultHookTimeout)
		}
	}
}

func (w *Watch) fill() {
	if len(w.Paths) > 0 {
		setDefault(&w.Debounce, defaultDebounce)
	}
}

// life checks the hooks, the schedule and the watched files of an app.
func (c *checker) life(at string, a App) {
	if a.Namespace != "" && (len(a.Namespace) > maxAppName || !AppNamePattern.MatchString(a.Namespace)) {
		c.fail(Join(at, "namespace"), "%s is not a name: use at most %d of a-z 0-9 . _ - and begin with a letter or a digit", Shorten(a.Namespace), maxAppName)
	}
	if a.Namespace == allApps {
		c.fail(Join(at, "namespace"), "%q is not a name for a namespace: on a command line it means all apps", a.Namespace)
	}
	hooks := Join(at, "hooks")
	c.hook(Join(hooks, "before_start"), a.Hooks.BeforeStart)
	c.hook(Join(hooks, "after_ready"), a.Hooks.AfterReady)
	c.hook(Join(hooks, "before_drain"), a.Hooks.BeforeDrain)
	c.hook(Join(hooks, "on_crash"), a.Hooks.OnCrash)
	if a.CronRestart != "" {
		if _, err := ParseSchedule(a.CronRestart); err != nil {
			c.fail(Join(at, "cron_restart"), "%v", err)
		}
	}
	c.watch(Join(at, "watch"), a.Watch)
	if a.NotAtStart {
		switch {
		case !a.OneShot:
			c.fail(Join(at, "at_start"), "only a one-shot app can be left out at the start: write oneshot: true beside it")
		case a.CronRestart == "" && len(a.Watch.Paths) == 0:
			c.fail(Join(at, "at_start"), "it would never be run: write cron_restart or watch beside it")
		}
	}
	if a.OneShot && a.Restart == RestartAlways {
		c.fail(Join(at, "oneshot"), "an app that restarts always never finishes: write restart: on-failure or never")
	}
}

func (c *checker) hook(at string, h Hook) {
	if len(h.Command) == 0 {
		if h.Timeout != 0 {
			c.fail(at, "a timeout for no command: write command: beside it")
		}
		return
	}
	if h.Command[0] == "" {
		c.fail(Join(at, "command"), "the program is empty")
	}
	for _, w := range h.Command {
		if strings.ContainsRune(w, 0) {
			c.fail(Join(at, "command"), "contains a zero byte")
			break
		}
	}
	c.least(Join(at, "timeout"), h.Timeout)
}

func (c *checker) watch(at string, w Watch) {
	if len(w.Paths) == 0 {
		if len(w.Ignore) > 0 || w.Debounce != 0 {
			c.fail(at, "nothing to watch: write paths: beside it")
		}
		return
	}
	for i, p := range w.Paths {
		if p == "" || strings.ContainsRune(p, 0) {
			c.fail(Index(Join(at, "paths"), i), "%s is not a path", Shorten(p))
		}
	}
	for i, p := range w.Ignore {
		if _, err := path.Match(p, "x"); p == "" || err != nil {
			c.fail(Index(Join(at, "ignore"), i), "%s is not a pattern: write one such as *.log or node_modules", Shorten(p))
		}
	}
	c.least(Join(at, "debounce"), w.Debounce)
}

// least checks a time that cannot be off.
func (c *checker) least(path string, d time.Duration) {
	if d < leastTimeout {
		c.fail(path, "%s is too short: write at least %s", d, leastTimeout)
	}
}

// ParseSchedule reads the text of [App.CronRestart]. Without a zone in it the schedule is in local time.
func ParseSchedule(text string) (*civil.Schedule, error) {
	s, err := civil.Parse(text, time.Local)
	if err != nil {
		return nil, fmt.Errorf("%s is not a schedule: %w", Shorten(text), err)
	}
	return s, nil
}

// dependencies checks which apps wait for which.
func (c *checker) dependencies(apps []App) {
	byName := map[string]App{}
	var names []string
	for _, a := range apps {
		byName[a.Name] = a
		names = append(names, a.Name)
	}
	for _, a := range apps {
		at := Join(Join("apps", a.Name), "depends_on")
		for _, name := range slices.Sorted(maps.Keys(a.DependsOn)) {
			to, ok := byName[name]
			if !ok {
				if s := Suggest(name, names); s != "" && s != a.Name {
					c.fail(Join(at, name), "no app %s: did you mean %s?", Shorten(name), s)
				} else {
					c.fail(Join(at, name), "no app %s: the apps here are %s", Shorten(name), strings.Join(names[:min(len(names), 20)], ", "))
				}
				continue
			}
			c.oneOf(Join(at, name), a.DependsOn[name], DependsReady, DependsExited)
			if a.DependsOn[name] == DependsExited && to.Restart == RestartAlways {
				c.fail(Join(at, name), "%s restarts always and so never exits: write ready", name)
			}
			if to.NotAtStart {
				c.fail(Join(at, name), "%s is not run at the start, so that this would wait until its time comes: take at_start: false out of it", name)
				continue
			}
			if a.DependsOn[name] == DependsReady && to.OneShot {
				c.fail(Join(at, name), "%s is a one-shot app and so never ready: write {%s: exited}", name, name)
			}
		}
	}
	// Each circle is one fault, at the app of it that comes first in the file.
	const open, closed = 1, 2
	state := map[string]int{}
	var trail []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		trail = append(trail, name)
		for _, next := range slices.Sorted(maps.Keys(byName[name].DependsOn)) {
			switch _, known := byName[next]; {
			case !known || state[next] == closed:
			case state[next] == open:
				circle := append(slices.Clone(trail[slices.Index(trail, next):]), next)
				c.fail(Join(Join(Join("apps", name), "depends_on"), next), "waits for itself: %s", strings.Join(circle, " waits for "))
			case len(trail) >= maxDependencies:
				c.fail(Join(Join("apps", name), "depends_on"), "a chain of more than %d apps", maxDependencies)
			default:
				visit(next)
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = closed
	}
	for _, name := range names {
		if state[name] == 0 {
			visit(name)
		}
	}
}
