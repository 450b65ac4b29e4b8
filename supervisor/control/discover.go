package control

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/supervisor/claim"
)

// discoverTimeout bounds the attempt to reach one socket.
const discoverTimeout = time.Second

// Instance is one master that Discover found, or the socket of one that is dead.
type Instance struct {
	Name  string // that of the master; where only its socket is known, of that
	Path  string // of the socket, or an abstract name that begins with @; empty: it has none
	Alive bool   // a master answers
	Err   error  // why not, such as a wrapped ErrNotRunning for what a dead master left
	PID   int    // that a person knows as tine; 0: not known, as it did not claim its name
	Near  bool   // its socket is in the folder that this process's environment names: see Discover
}

// Discover returns the masters of this user, by name, and sockets of dead ones: those whose sockets are in a folder that
// DefaultPath would use, in whatever environment, and those that have claimed their names, wherever their sockets are. So
// it does not matter what the environment of this process says, but for $TINE_RUNTIME_DIR, which makes a world of its
// own: see package claim. It takes about two seconds at most.
//
// Near are those in the folder that $TINE_RUNTIME_DIR or $XDG_RUNTIME_DIR names: a process that asks no certain master
// means these, if there are any.
func Discover(ctx context.Context) []Instance {
	claimed := make(chan []claim.Found, 1)
	go func() { claimed <- claim.Find(ctx) }()
	dirs, near := folders(), nearFolder()
	found := []Instance{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil { // not there, or none of ours
			continue
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), socketSuffix); ok && e.Type() == os.ModeSocket {
				found = append(found, Instance{Name: name, Path: filepath.Join(dir, e.Name()), Near: dir == near})
			}
		}
	}
	for _, c := range <-claimed {
		i := slices.IndexFunc(found, func(i Instance) bool { return i.Path == c.Control })
		switch {
		case c.Err != nil:
		case i >= 0 && c.Control != "":
			found[i].Name, found[i].PID = c.Name, c.PID
		case c.Control == "":
			found = append(found, Instance{Name: c.Name, PID: c.PID, Err: fmt.Errorf("%s (pid %d) has no control socket: %w", c.Name, c.PID, ErrNotRunning)})
		default:
			found = append(found, Instance{Name: c.Name, Path: c.Control, PID: c.PID, Near: near != "" && filepath.Dir(c.Place) == near})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i := range found {
		if found[i].Path == "" {
			continue
		}
		wg.Go(func() {
			conn, err := dial(ctx, found[i].Path)
			if err == nil {
				conn.Close()
			}
			found[i].Alive, found[i].Err = err == nil, err
		})
	}
	wg.Wait()
	slices.SortStableFunc(found, func(a, b Instance) int { return cmp.Compare(a.Name, b.Name) })
	return found
}
