package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

// answerTimeout bounds a question that a master answers at once.
const answerTimeout = 3 * time.Second

// allApps names all apps of a master where an app's name can stand.
const allApps = "all"

// target is how a command line says which master it means, and which of its apps.
// Who runs one master never has to. Those in the folder of this environment's own
// XDG_RUNTIME_DIR come first, as far as no -m names one: see control.Discover. With several, the name of an app finds the master
// that runs it; what is still open is an error that says what to add.
type target struct {
	socket string // --control
	master string // -m
	app    string // -a, or the first argument
	every  bool   // all masters of this user are meant, and not only those nearby
}

// addTarget gives cmd the flags -m and --control and, with withApp, -a.
func addTarget(cmd *cobra.Command, withApp bool) *target {
	t := &target{}
	flags := cmd.Flags()
	if withApp {
		flags.StringVarP(&t.app, "app", "a", "", "`NAME` of an app, a namespace or a master; all: all apps")
		_ = cmd.RegisterFlagCompletionFunc("app", completeApps)
	}
	flags.StringVarP(&t.master, "master", "m", "", "`NAME` of the master, where several run (see tine ls)")
	flags.StringVar(&t.socket, "control", "", "`PATH` of the master's control socket, or of a folder of them (default $TINE_CONTROL, else found by itself)")
	_ = cmd.RegisterFlagCompletionFunc("master", completeMasters)
	return t
}

// named takes the app from the arguments, where it is not given by -a.
func (t *target) named(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if t.app != "" && t.app != args[0] {
		return usageError{fmt.Errorf("two apps, %s and %s: name one", args[0], t.app)}
	}
	t.app = args[0]
	return nil
}

// running is a master that has answered.
type running struct {
	*control.Client
	status control.Status
}

// find returns the master that is meant. The caller closes it.
func (t *target) find(ctx context.Context) (*running, error) {
	all, err := t.soon(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return all[0].only()
	}
	defer func() {
		for _, a := range all {
			a.Close()
		}
	}()
	var names, apps, meant []string
	var found *running
	for _, a := range all {
		names = append(names, a.instance.Name)
		if a.err != nil {
			continue
		}
		for _, app := range a.status.Apps {
			apps = append(apps, app.Name)
		}
		if t.app != "" && t.app != allApps && t.in(a.status) {
			meant = append(meant, a.instance.Name)
			found = &a.running
		}
	}
	switch {
	case len(meant) == 1:
		return &running{control.NewClient(found.Path()), found.status}, nil
	case len(meant) > 1:
		return nil, usageError{fmt.Errorf("%s is run by several masters (%s): say which with -m", t.app, strings.Join(meant, ", "))}
	case t.app != "" && t.app != allApps:
		return nil, control.Unknown("app", t.app, append(apps, names...))
	}
	return nil, usageError{fmt.Errorf("several masters run (%s): say which with -m, or an app with -a (see tine ls)", strings.Join(names, ", "))}
}

// in says whether the app that is named is among those of st.
func (t *target) in(st control.Status) bool {
	_, err := chosen(st, t.app)
	return err == nil
}

// chosen returns the apps of st that a name means: an app, all of a namespace, or
// all of the master for its own name, for "all" and for none.
func chosen(st control.Status, name string) ([]control.App, error) {
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
	if name == "" || name == allApps || name == st.Name {
		return st.Apps, nil
	}
	err := control.Unknown("app", name, names)
	if err.Suggestion == "" && len(st.Apps) > 0 && len(st.Apps) <= 8 {
		err.Detail += fmt.Sprintf(" (there is %s)", strings.Join(names, ", "))
	}
	return nil, err
}

// candidate is a master that may be meant, and what it said.
type candidate struct {
	running
	instance control.Instance
	err      error
}

func (c *candidate) only() (*running, error) {
	if c.err != nil {
		c.Close()
		return nil, c.err
	}
	return &c.running, nil
}

// candidates asks all masters that the flags and the environment leave possible: at
// least one. Those that do not answer are among them.
func (t *target) candidates(ctx context.Context) ([]*candidate, error) {
	instances, err := t.instances(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	all := make([]*candidate, len(instances))
	var wg sync.WaitGroup
	for i, instance := range instances {
		wg.Go(func() {
			c := &candidate{running: running{Client: control.NewClient(instance.Path)}, instance: instance}
			c.status, c.err = c.Status(ctx)
			if errors.Is(c.err, context.DeadlineExceeded) {
				c.err = fmt.Errorf("no answer of the master at %s in %s", instance.Path, answerTimeout)
			}
			all[i] = c
		})
	}
	wg.Wait()
	if len(all) == 1 && all[0].instance.Name == t.master || len(all) == 1 && !isFolder(t.path()) {
		return all, nil // its own error says it best
	}
	all = slices.DeleteFunc(all, func(c *candidate) bool { return errors.Is(c.err, control.ErrNotRunning) })
	if len(all) == 0 {
		return nil, noMaster(nil)
	}
	return all, nil
}

// path is the control path that is given, or empty.
func (t *target) path() string {
	if t.socket != "" {
		return t.socket
	}
	return os.Getenv("TINE_CONTROL")
}

// instances are the sockets that can be meant: the one that is named, those in the
// folder that is named, or all that can be found.
func (t *target) instances(ctx context.Context) ([]control.Instance, error) {
	socket := t.path()
	var all []control.Instance
	switch {
	case isFolder(socket):
		all = socketsIn(socket)
	case socket != "" && (t.master == "" || t.socket != ""):
		return []control.Instance{{Name: socket, Path: socket, Alive: true}}, nil
	default:
		all = control.Discover(ctx)
	}
	var names []string
	var alive, near []control.Instance
	for _, i := range all {
		if !i.Alive {
			continue
		}
		alive = append(alive, i)
		names = append(names, i.Name)
		if i.Near {
			near = append(near, i)
		}
	}
	if t.master != "" {
		for _, some := range [][]control.Instance{near, alive} {
			if i := slices.IndexFunc(some, func(i control.Instance) bool { return i.Name == t.master }); i >= 0 {
				return some[i : i+1], nil
			}
		}
	}
	if len(near) > 0 && !t.every {
		alive = near
	}
	switch {
	case len(alive) == 0:
		return nil, noMaster(all)
	case t.master == "":
		return alive, nil
	}
	return nil, control.Unknown("master", t.master, names)
}

// isFolder says whether a control path is that of a folder, in which each master has
// a socket of its name.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return strings.HasSuffix(path, "/") || err == nil && info.IsDir()
}

// socketName is the file of the socket of a master.
func socketName(master string) string { return filepath.Base(control.DefaultPath(master)) }

// socketsIn are the sockets in a folder, dead ones too.
func socketsIn(dir string) (all []control.Instance) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(socketName("")))) // by name
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		all = append(all, control.Instance{Name: name, Path: path, Alive: true}) // until it is asked
	}
	return all
}

// noMaster says that there is none, and what to do about it.
func noMaster(all []control.Instance) error {
	for _, i := range all {
		if i.Err != nil && !errors.Is(i.Err, control.ErrNotRunning) {
			return i.Err
		}
	}
	text := "no tine is running"
	for _, i := range all {
		if i.Path == "" && i.PID != 0 {
			text += fmt.Sprintf(" that has a control socket (%s, pid %d, has none: signals reach it)", i.Name, i.PID)
		}
	}
	text += ": start one with tine start -c FILE, or tine start -l ADDRESS -- COMMAND"
	if log := lastLog(); log != "" {
		text += " (the last log is " + log + ")"
	}
	if os.Geteuid() != 0 {
		// The folder is closed to others: that it is there is all that can be seen.
		if _, err := os.ReadDir("/run/tine"); errors.Is(err, fs.ErrPermission) {
			text += " (root's are seen by sudo tine)"
		}
	}
	return &exitError{exitNotRunning, text}
}

// single returns the one app that an order is for: the only one, where none is named.
func (r *running) single(name, verb string) (control.App, error) {
	apps, err := chosen(r.status, name)
	switch {
	case err != nil:
		return control.App{}, err
	case len(apps) == 1:
		return apps[0], nil
	case len(apps) == 0:
		return control.App{}, fmt.Errorf("%s runs no app", cmp.Or(r.status.Name, "tine"))
	}
	return control.App{}, usageError{fmt.Errorf("which app to %s? There is %s", verb, strings.Join(appNames(apps), ", "))}
}

func appNames(apps []control.App) (names []string) {
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}
