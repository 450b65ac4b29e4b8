package target

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
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// AnswerTimeout bounds a request that a master answers at once.
const AnswerTimeout = 3 * time.Second

// Target is which master a command line means, and which of its apps. With one master running no flag is needed. With several,
// the name of an app selects the master that runs it; if that is ambiguous, the error names the flag to add.
type Target struct {
	Socket string // --control
	Master string // -m
	App    string // -a, or an argument
	Every  bool   // Candidates returns all masters of this user, also where some are near
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

// Run makes the RunE of a command that takes at most the name of an app as its argument. do gets the master that is meant,
// whose connections are closed after do.
func (t *Target) Run(do func(cmd *cobra.Command, r *Running) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return t.On(cmd.Context(), args, func(r *Running) error { return do(cmd, r) })
	}
}

// On finds the master that is meant, calls do with it, and closes its connections. args is the name of an app, or empty.
func (t *Target) On(ctx context.Context, args []string, do func(*Running) error) error {
	if err := t.named(args); err != nil {
		return err
	}
	r, err := t.Find(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	return do(r)
}

// named takes the name of an app from the arguments. With another one by -a the command line is wrong.
func (t *Target) named(args []string) error {
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
	Seen api.Status // its first answer
}

// Find returns the master that is meant; the caller closes its connections. Where no master runs, the error is a
// control.ErrNotRunning or has the exit status term.ExitNotRunning.
func (t *Target) Find(ctx context.Context) (*Running, error) {
	all, err := t.soon(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		if err := all[0].Err; err != nil {
			all[0].Close()
			return nil, err
		}
		return &all[0].Running, nil
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
		if _, err := Chosen(a.Seen, t.App); err == nil && t.App != "" && t.App != All {
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
		return nil, &UnknownAppError{api.Unknown("app", t.App, append(apps, names...))}
	}
	return nil, term.Usagef("several masters run (%s): say which with -m, or an app with -a (see tine ls)", strings.Join(names, ", "))
}

// Candidate is a master that may be meant.
type Candidate struct {
	Running
	Instance control.Instance // where it was found
	Err      error            // why it has not answered; nil: it has
}

// Candidates asks all possible masters for their status at the same time, for up to AnswerTimeout: see the package. It returns
// those that answered and those that did not, at least one; the caller closes the connections of all.
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
		return all, nil // with its own error, which names the socket
	}
	all = slices.DeleteFunc(all, func(c *Candidate) bool { return errors.Is(c.Err, control.ErrNotRunning) })
	if len(all) == 0 {
		return nil, noMaster(nil)
	}
	return all, nil
}

// path returns the control path of the command line or of the environment; empty: there is none.
func (t *Target) path() string {
	return cmp.Or(t.Socket, os.Getenv("TINE_CONTROL"))
}

// instances returns the control sockets that are possible: the one at the path, all in the folder at the path, or without a
// path all that can be found.
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
	return nil, api.Unknown("master", t.Master, names)
}

// IsFolder reports whether a control path is that of a folder, in which each master has a socket of its name.
func IsFolder(path string) bool {
	info, err := os.Stat(path)
	return strings.HasSuffix(path, "/") || err == nil && info.IsDir()
}

// SocketName returns the name of the file that is the control socket of a master in a folder of them.
func SocketName(master string) string { return filepath.Base(control.DefaultPath(master)) }

// socketsIn returns the sockets in a folder. Their masters may have ended.
func socketsIn(dir string) (all []control.Instance) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(SocketName("")))) // sorted by name
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		all = append(all, control.Instance{Name: name, Path: path, Alive: true}) // not asked yet
	}
	return all
}

// noMaster is the error where no master runs, with what to do about it. all are the instances that were found.
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
		// Only root may read the folder of root's masters, and every user sees that it exists.
		if _, err := os.ReadDir("/run/tine"); errors.Is(err, fs.ErrPermission) {
			text += " (root's are seen by sudo tine)"
		}
	}
	return &term.ExitError{Code: term.ExitNotRunning, Text: text}
}
