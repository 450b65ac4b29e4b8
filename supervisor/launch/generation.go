package launch

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/proc"
)

// The descriptors at which a worker finds its channel and its lifeline: the first two of proc.Options.Files.
const (
	channelFD  = 3
	lifelineFD = 4
)

// Generation is how the workers of one rollout are started. The command, its symlinks, the working folder, the environment,
// the env files and the CPUs are looked up once, when the first worker of the generation is started, so that all its workers
// run the same program even if the disk changes meanwhile. The result is its release, whose files are held open from the
// first start until [Generation.Drop].
//
// Methods are safe for concurrent use, and so are the fields that are atomic. All other exported fields are set before a
// generation is shared and do not change, but for Program and Folder: those belong to its methods.
type Generation struct {
	Config config.App
	// Resolve looks the release up, at its first call, and returns the same at each later one. It waits for a disk and reads
	// files of control groups: the first call is made outside the loop of the master. The error names the app.
	Resolve func() (Recipe, error)
	// Resolved is the release once Resolve has succeeded; nil before.
	Resolved atomic.Pointer[Recipe]
	prepared preparation // by the hook before_start
	At       time.Time   // when the rollout was ordered
	Back     bool        // made by a rollback: a later config that equals Config leaves it as it is

	Drifted atomic.Bool // it has been logged that the path leads to another program by now

	pinning         sync.Mutex // held while files are opened, which may wait for a disk
	mu              sync.Mutex // the loop takes it too
	pinned, dropped bool
	Program, Folder *Pin // files of the release that are held open; nil: not held
}

// Recipe is a release: what was looked up for a generation.
type Recipe struct {
	Command proc.Command
	CPUs    func(slot int) []int // CPUs that the worker of a slot, from 0, is bound to; nil: it is not bound
}

// Bound returns the CPUs for a slot; nil for a standby (slot -1), which has no slot yet.
func (r Recipe) Bound(slot int) []int {
	if slot < 0 {
		return nil
	}
	return r.CPUs(slot)
}

// New returns a generation of c, which must have its defaults. Nothing is looked up yet.
func New(c config.App) *Generation {
	g := &Generation{Config: c, At: time.Now()}
	g.Resolve = sync.OnceValues(func() (Recipe, error) {
		r, err := resolve(c)
		if err != nil {
			return Recipe{}, fmt.Errorf("cannot start app %s: %w", c.Name, err)
		}
		g.Resolved.Store(&r)
		return r, nil
	})
	return g
}

func resolve(c config.App) (Recipe, error) {
	// Counted once: each spawn needs the number of workers that share the CPUs.
	c.Workers = c.Slots()
	env, err := Environment(c, os.Environ())
	if err != nil {
		return Recipe{}, err
	}
	command, err := proc.Resolve(proc.Spec{Command: c.Command, Dir: c.Dir, Env: env})
	if err != nil {
		return Recipe{}, err
	}
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	return Recipe{
		Command: command,
		CPUs:    func(slot int) []int { return c.CPUs(slot, allowed, quota) },
	}, nil
}

// Prepare calls do once for the generation. A caller that comes while do runs waits for it and gets the same error. After an
// error the next caller calls do again.
func (g *Generation) Prepare(do func() error) error { return g.prepared.once(do) }

// Environment returns the environment of a worker of c, as KEY=VALUE: that of the app, and where the channel and the lifeline
// are. master is the environment of this process. What differs from worker to worker, such as the slot, is not in it.
func Environment(c config.App, master []string) ([]string, error) {
	env, err := c.Environment(master)
	if err != nil {
		return nil, err
	}
	return append(env, ipc.EnvChannel+"="+strconv.Itoa(channelFD), ipc.EnvLifeline+"="+strconv.Itoa(lifelineFD)), nil
}
