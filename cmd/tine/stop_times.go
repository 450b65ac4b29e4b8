package main

import (
	"os"
	"time"

	"github.com/spf13/pflag"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/keeper"
)

// containerStopTimeout is how long docker stop waits before it kills. Other systems wait longer.
const containerStopTimeout = 10 * time.Second

// stopTimes sets in c how long a stop may take. The runtime of a container kills PID 1 if a stop takes too long, whatever the
// config says: without a stop_timeout the shortest usual time is assumed there.
func (f *runFlags) stopTimes(c *supervisor.Config, flags *pflag.FlagSet) {
	if flags.Changed("stop-delay") {
		c.StopDelay = f.stopDelay
	}
	if flags.Changed("stop-timeout") {
		c.StopTimeout = f.stopTimeout
	}
	if c.StopTimeout == 0 && isInit(os.Getpid(), os.Getppid(), os.Getenv(keeper.EnvKeeper), handover.HasParent()) {
		c.StopTimeout = containerStopTimeout
	}
}

// isInit reports whether this process, or the keeper above it, is PID 1. Below systemd the parent is PID 1 too, but not a
// keeper. A successor, which an upgrade has started, is a child of the old master until that ends.
func isInit(pid, parent int, keeper string, successor bool) bool {
	return pid == 1 || (parent == 1 || successor) && keeper == "1"
}
