package launch

import (
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/proc"
)

// Startable returns the release that a worker of the generation is started from, with its files held open as far as they can
// be. It waits for a disk at the first call. The error is that of Resolve.
func (g *Generation) Startable(p *Pins) (Recipe, error) {
	if _, err := g.Resolve(); err != nil {
		return Recipe{}, err
	}
	g.Hold(p)
	return *g.Resolved.Load(), nil
}

// Left is a generation as an earlier master has left it.
type Left struct {
	Config  config.App    // with its defaults
	Command *proc.Command // of its release; nil: no worker was started from it
	At      time.Time     // when its rollout was ordered
	Back    bool          // made by a rollback
}

// Restore returns a generation that starts what its first worker was started from, if there was one: the disk may have changed since.
// Its files are those of inherited, by name, as far as they are there; the others are not opened. It waits for no disk.
func Restore(p *Pins, l Left, inherited map[string][]*os.File) *Generation {
	g := New(l.Config)
	g.At, g.Back = l.At, l.Back
	if l.Command == nil {
		return g
	}
	c := l.Config
	c.Workers = c.Slots()
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	r := Recipe{Command: *l.Command, CPUs: func(slot int) []int { return c.CPUs(slot, allowed, quota) }}
	g.Resolved.Store(&r)
	g.Resolve = func() (Recipe, error) { return r, nil }
	g.Pin(p, func(_ string, id *proc.FileID, _ bool) *Pin { return p.Inherit(id, inherited) }, false)
	return g
}

// Hold opens the files of a resolved release and holds them, once; later calls do nothing. It waits for a disk.
func (g *Generation) Hold(p *Pins) { g.Pin(p, p.hold, true) }

// Pin holds the files of a resolved release that are not held yet, by hold, which returns nil for one that it cannot hold.
// last says that it is not tried again. The program of a script is not held: its interpreter reads the script by its path.
func (g *Generation) Pin(p *Pins, hold func(path string, id *proc.FileID, folder bool) *Pin, last bool) {
	g.pinning.Lock()
	defer g.pinning.Unlock()
	g.mu.Lock()
	r, program, folder := g.Resolved.Load(), g.Program, g.Folder
	over := g.pinned || g.dropped || r == nil
	g.mu.Unlock()
	if over {
		return
	}
	if program == nil && !r.Command.Script {
		program = hold(r.Command.Path, r.Command.ProgramID, false)
	}
	if folder == nil {
		folder = hold(r.Command.Dir, r.Command.FolderID, true)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped { // meanwhile; that has released those of before
		for _, h := range []*Pin{program, folder} {
			if h != g.Program && h != g.Folder {
				p.release(h)
			}
		}
		return
	}
	c := r.Command
	all := (program != nil || c.Script || c.ProgramID == nil) && (folder != nil || c.FolderID == nil)
	g.pinned, g.Program, g.Folder = last || all, program, folder
	next := *r
	next.Command.Pinned = proc.Pinned{Program: program.open(), Folder: folder.open()}
	g.Resolved.Store(&next)
}

// Drop releases the files: no worker of the generation is started any more. Further calls do nothing.
func (g *Generation) Drop(p *Pins) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped {
		return
	}
	g.dropped = true
	p.release(g.Program)
	p.release(g.Folder)
}

// Again returns a new generation of the same release, for a rollback, which shares the files that are held. If g was never
// resolved, it returns a new generation of the same config. It waits for no disk.
func (g *Generation) Again(p *Pins) *Generation {
	r := g.Resolved.Load()
	if r == nil {
		return New(g.Config)
	}
	next := &Generation{Config: g.Config, At: time.Now(), Back: true}
	same := *r
	next.Resolved.Store(&same)
	next.Resolve = func() (Recipe, error) { return *next.Resolved.Load(), nil }
	next.Pin(p, func(_ string, id *proc.FileID, _ bool) *Pin { return p.Inherit(id, nil) }, false)
	return next
}

// SameRelease reports whether workers of a and b are started from the same command, environment and files. It is false when
// one of them is not resolved or its files are not known.
func SameRelease(a, b *Generation) bool {
	x, y := a.Resolved.Load(), b.Resolved.Load()
	if x == nil || y == nil {
		return false
	}
	c, d := x.Command, y.Command
	return c.Path == d.Path && c.Dir == d.Dir && slices.Equal(c.Args, d.Args) && slices.Equal(c.Env, d.Env) &&
		c.ProgramID != nil && d.ProgramID != nil && *c.ProgramID == *d.ProgramID &&
		c.FolderID != nil && d.FolderID != nil && c.FolderID.Same(*d.FolderID)
}

// Pinned reports whether the files of the release are held, or will not be tried again.
func (g *Generation) Pinned() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pinned
}
