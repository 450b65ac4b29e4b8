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

// ChannelFD is the descriptor that a worker finds its channel at: the first of
// proc.Options.Files.
const ChannelFD = 3

// LifelineFD is the one that it finds its lifeline at.
const LifelineFD = 4

// Generation is how the workers of one rollout are started. The command, its
// symlinks, the working folder, the environment, the env files and the CPUs are
// looked up once, by the first worker of it that is started, so that every worker
// of a generation is the same program even if the disk changes meanwhile: what came of
// that is its release. The files of it are held open from its first start on.
type Generation struct {
	Config   config.App
	Resolve  func() (Recipe, error)
	Prepared preparation // by the hook before_start
	Resolved atomic.Pointer[Recipe]
	At       time.Time // when it was ordered
	Back     bool      // by a rollback: a config that is applied later finds it as it should be

	Drifted atomic.Bool // that what is on disk is another was said

	pinning         sync.Mutex // held while files are opened, which may wait for a disk
	mu              sync.Mutex // the loop takes it too
	pinned, dropped bool
	Program, Folder *Pin
}

// Recipe is what came of the look-up.
type Recipe struct {
	Command proc.Command
	CPUs    func(slot int) []int // that the worker of a slot is bound to; nil: none
}

// Bound is cpus for a slot, or nil for a standby, which has none yet.
func (r Recipe) Bound(slot int) []int {
	if slot < 0 {
		return nil
	}
	return r.CPUs(slot)
}

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
	// Counted once: every spawn asks how many share the CPUs.
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

// Environment is what a worker of c finds, but for what it is told of itself: that of
// the app, and the channel.
func Environment(c config.App, master []string) ([]string, error) {
	env, err := c.Environment(master)
	if err != nil {
		return nil, err
	}
	return append(env, ipc.EnvChannel+"="+strconv.Itoa(ChannelFD), ipc.EnvLifeline+"="+strconv.Itoa(LifelineFD)), nil
}
