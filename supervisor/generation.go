package supervisor

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

// channelFD is the descriptor that a worker finds its channel at: the first of
// proc.Options.Files.
const channelFD = 3

// lifelineFD is the one that it finds its lifeline at.
const lifelineFD = 4

// generation is how the workers of one rollout are started. The command, its
// symlinks, the working folder, the environment, the env files and the CPUs are
// looked up once, by the first worker of it that is started, so that every worker
// of a generation is the same program even if the disk changes meanwhile: what came of
// that is its release. The files of it are held open from its first start on.
type generation struct {
	config   config.App
	resolve  func() (recipe, error)
	prepared preparation // by the hook before_start
	resolved atomic.Pointer[recipe]
	at       time.Time // when it was ordered
	back     bool      // by a rollback: a config that is applied later finds it as it should be

	drifted atomic.Bool // that what is on disk is another was said

	pinning         sync.Mutex // held while files are opened, which may wait for a disk
	mu              sync.Mutex // the loop takes it too
	pinned, dropped bool
	program, folder *pin
}

// recipe is what came of the look-up.
type recipe struct {
	command proc.Command
	cpus    func(slot int) []int // that the worker of a slot is bound to; nil: none
}

// bound is cpus for a slot, or nil for a standby, which has none yet.
func (r recipe) bound(slot int) []int {
	if slot < 0 {
		return nil
	}
	return r.cpus(slot)
}

func newGeneration(c config.App) *generation {
	g := &generation{config: c, at: time.Now()}
	g.resolve = sync.OnceValues(func() (recipe, error) {
		r, err := resolve(c)
		if err != nil {
			return recipe{}, fmt.Errorf("cannot start app %s: %w", c.Name, err)
		}
		g.resolved.Store(&r)
		return r, nil
	})
	return g
}

func resolve(c config.App) (recipe, error) {
	// Counted once: every spawn asks how many share the CPUs.
	c.Workers = c.Slots()
	env, err := environment(c, os.Environ())
	if err != nil {
		return recipe{}, err
	}
	command, err := proc.Resolve(proc.Spec{Command: c.Command, Dir: c.Dir, Env: env})
	if err != nil {
		return recipe{}, err
	}
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	return recipe{
		command: command,
		cpus:    func(slot int) []int { return c.CPUs(slot, allowed, quota) },
	}, nil
}

// environment is what a worker of c finds, but for what it is told of itself: that of
// the app, and the channel.
func environment(c config.App, master []string) ([]string, error) {
	env, err := c.Environment(master)
	if err != nil {
		return nil, err
	}
	return append(env, ipc.EnvChannel+"="+strconv.Itoa(channelFD), ipc.EnvLifeline+"="+strconv.Itoa(lifelineFD)), nil
}
