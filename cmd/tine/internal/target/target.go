package target

import (
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
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

// AnswerTimeout bounds a question that a master answers at once.
const AnswerTimeout = 3 * time.Second

// Target is how a command line says which master it means, and which of its apps.
// Who runs one master never has to. Those in the folder of this environment's own
// XDG_RUNTIME_DIR come first, as far as no -m names one: see control.Discover. With several, the name of an app finds the master
// that runs it; what is still open is an error that says what to add.
type Target struct {
	Socket string // --control
	Master string // -m
	App    string // -a, or the first argument
	Every  bool   // all masters of this user are meant, and not only those nearby
}

// Define gives cmd the flags -m and --control and, with withApp, -a, and their completion.
func (t *Target) Define(cmd *cobra.Command, withApp bool) {
	flags := cmd.Flags()
	if withApp {
		flags.StringVarP(&t.App, "app", "a", "", "`NAME` of an app, a namespace or a master; all: all apps")
		_ = cmd.RegisterFlagCompletionFunc("app", CompleteApps)
	}
	flags.StringVarP(&t.Master, "master", "m", "", "`NAME` of the master, where several run (see tine ls)")
	flags.StringVar(&t.Socket, "control", "", "`PATH` of the master's control socket, or of a folder of them (default $TINE_CONTROL, else found by itself)")
	_ = cmd.RegisterFlagCompletionFunc("master", completeMasters)
}

// Run makes the RunE of a command whose arguments are at most the name of an app. do gets the master that is meant; its
// connections are closed after do.
func (t *Target) Run(do func(cmd *cobra.Command, r *Running) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return t.On(cmd.Context(), args, func(r *Running) error { return do(cmd, r) })
	}
}

// On is Run for a command that has other arguments too: args has the name of an app, or nothing.
func (t *Target) On(ctx context.Context, args []string, do func(*Running) error) error {
	if err := t.Named(args); err != nil {
		return err
	}
	r, err := t.Find(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	return do(r)
}

// Named takes the app from the arguments, where it is not given by -a.
func (t *Target) Named(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if t.App != "" && t.App != args[0] {
		return term.Usagef("two apps, %s and %s: name one", args[0], t.App)
	}
	t.App = args[0]
	return nil
}

// Running is a master that has answered.
type Running struct {
	*control.Client
	Seen control.Status
}

// Find returns the master that is meant. The caller closes it.
func (t *Target) Find(ctx context.Context) (*Running, error) {
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
	var found *Running
	for _, a := range all {
		names = append(names, a.Instance.Name)
		if a.Err != nil {
			continue
		}
		for _, app := range a.Seen.Apps {
			apps = append(apps, app.Name)
		}
		if t.App != "" && t.App != All && t.in(a.Seen) {
			meant = append(meant, a.Instance.Name)
			found = &a.Running
		}
	}
	switch {
	case len(meant) == 1:
		return &Running{control.NewClient(found.Path()), found.Seen}, nil
	case len(meant) > 1:
		return nil, term.Usagef("%s is run by several masters (%s): say which with -m", t.App, strings.Join(meant, ", "))
	case t.App != "" && t.App != All:
		return nil, control.Unknown("app", t.App, append(apps, names...))
	}
	return nil, term.Usagef("several masters run (%s): say which with -m, or an app with -a (see tine ls)", strings.Join(names, ", "))
}

// in says whether the app that is named is among those of st.
func (t *Target) in(st control.Status) bool {
	_, err := Chosen(st, t.App)
	return err == nil
}

// Candidate is a master that may be meant, and what it said.
type Candidate struct {
	Running
	Instance control.Instance
	Err      error
}

func (c *Candidate) only() (*Running, error) {
	if c.Err != nil {
		c.Close()
		return nil, c.Err
	}
	return &c.Running, nil
}

// Candidates asks all masters that the flags and the environment leave possible: at
// least one. Those that do not answer are among them.
func (t *Target) Candidates(ctx context.Context) ([]*Candidate, error) {
	instances, err := t.instances(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	all := make([]*Candidate, len(instances))
	var wg sync.WaitGroup
	for i, instance := range instances {
		wg.Go(func() {
			c := &Candidate{Running: Running{Client: control.NewClient(instance.Path)}, Instance: instance}
			c.Seen, c.Err = c.Status(ctx)
			if errors.Is(c.Err, context.DeadlineExceeded) {
				c.Err = fmt.Errorf("no answer of the master at %s in %s", instance.Path, AnswerTimeout)
			}
			all[i] = c
		})
	}
	wg.Wait()
	if len(all) == 1 && all[0].Instance.Name == t.Master || len(all) == 1 && !IsFolder(t.path()) {
		return all, nil // its own error says it best
	}
	all = slices.DeleteFunc(all, func(c *Candidate) bool { return errors.Is(c.Err, control.ErrNotRunning) })
	if len(all) == 0 {
		return nil, noMaster(nil)
	}
	return all, nil
}

// path is the control path that is given, or empty.
func (t *Target) path() string {
	if t.Socket != "" {
		return t.Socket
	}
	return os.Getenv("TINE_CONTROL")
}

// instances are the sockets that can be meant: the one that is named, those in the
// folder that is named, or all that can be found.
func (t *Target) instances(ctx context.Context) ([]control.Instance, error) {
	socket := t.path()
	var all []control.Instance
	switch {
	case IsFolder(socket):
		all = socketsIn(socket)
	case socket != "" && (t.Master == "" || t.Socket != ""):
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
	if t.Master != "" {
		for _, some := range [][]control.Instance{near, alive} {
			if i := slices.IndexFunc(some, func(i control.Instance) bool { return i.Name == t.Master }); i >= 0 {
				return some[i : i+1], nil
			}
		}
	}
	if len(near) > 0 && !t.Every {
		alive = near
	}
	switch {
	case len(alive) == 0:
		return nil, noMaster(all)
	case t.Master == "":
		return alive, nil
	}
	return nil, control.Unknown("master", t.Master, names)
}

// IsFolder says whether a control path is that of a folder, in which each master has
// a socket of its name.
func IsFolder(path string) bool {
	info, err := os.Stat(path)
	return strings.HasSuffix(path, "/") || err == nil && info.IsDir()
}

// SocketName is the file of the socket of a master.
func SocketName(master string) string { return filepath.Base(control.DefaultPath(master)) }

// socketsIn are the sockets in a folder, dead ones too.
func socketsIn(dir string) (all []control.Instance) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(SocketName("")))) // by name
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
	return &term.ExitError{Code: term.ExitNotRunning, Text: text}
}
