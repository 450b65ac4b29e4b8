package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/logs"
)

// keeperMode is the flag --keeper: whether a keeper is above the master.
type keeperMode string

const (
	keeperAuto keeperMode = "auto"
	keeperOn   keeperMode = "on"
	keeperOff  keeperMode = "off"
)

// modeFlag is the flag of a keeperMode.
func modeFlag(to *keeperMode) pflag.Value {
	return flagValue[keeperMode]{to, "mode", func(text string) (keeperMode, error) {
		switch mode := keeperMode(text); mode {
		case keeperAuto, keeperOn, keeperOff:
			return mode, nil
		}
		return "", fmt.Errorf("%q is not auto, on or off", text)
	}, func(mode keeperMode) string { return string(mode) }}
}

// watchdogDefault is how long a master may be silent before its keeper takes it for hung. A loop that runs is silent for
// at most half of that.
const watchdogDefault = 30 * time.Second

// surroundings decide whether a process becomes a keeper.
type surroundings struct {
	system string // GOOS
	pid    int    // of this process
	keeper int    // PID of the keeper above this process; 0: none
	store  bool   // systemd reads notifications and stores descriptors
}

func here() surroundings {
	files, _ := strconv.Atoi(os.Getenv("FDSTORE")) // set by systemd from version 254 on, and by the unit for older ones
	return surroundings{runtime.GOOS, os.Getpid(), keeper.PID(), os.Getenv("NOTIFY_SOCKET") != "" && files > 0}
}

// wants reports whether tine run becomes a keeper. The keeper starts a master with the same command line; that master has
// a keeper above it and does not become one. In mode auto no keeper is needed below a systemd whose unit has a descriptor
// store, as systemd then does a keeper's work. PID 1 needs one in any case: nothing above it would start another master
// with the descriptors of the one that died.
func (k keeperMode) wants(s surroundings) (bool, error) {
	switch {
	case s.keeper != 0 || k == keeperOff:
		return false, nil
	case s.system != "linux" && k == keeperOn:
		return false, fmt.Errorf("cannot do --keeper=on: %w", keeper.ErrNoKeeper)
	case s.system != "linux":
		return false, nil
	case k == keeperAuto && s.store && s.pid != 1:
		return false, nil
	}
	return true, nil
}

// becomeKeeper makes this process the keeper of a master for c. It returns only an error.
func becomeKeeper(c *supervisor.Config, id identity, watchdog time.Duration) error {
	got, err := takeClaim(context.Background(), id, c)
	if err != nil {
		return err
	}
	if err := handOnStartPipe(); err != nil {
		return err
	}
	o := keeperOptions(c, id, got.File())
	if keeper.WatchdogInterval() == 0 { // else systemd watches the keeper, and its interval counts
		o.Watchdog = watchdog
	}
	return keeper.Exec(o)
}

func keeperOptions(c *supervisor.Config, id identity, claim *os.File) keeper.Options {
	const own = "/proc/self/exe"
	self, err := os.Executable()
	if err != nil {
		self = own
	}
	return keeper.Options{
		Command: self, Fallback: own, StopTimeout: longestStop(c), JSON: logs.WritesJSON(c.Log, os.Stderr),
		Claim: claim, ClaimText: id.about(controlOf(c), controlOf(c)).Text(),
	}
}

// controlOf returns the path of the control socket; empty: the config has none.
func controlOf(c *supervisor.Config) string {
	if c.Control == supervisor.ControlOff {
		return ""
	}
	return c.Control
}

// longestStop returns how long the apps of c may take to stop. With a stop_timeout it is a little less than that: at the
// timeout the system kills all processes.
func longestStop(c *supervisor.Config) time.Duration {
	longest := time.Duration(0)
	for _, a := range c.WithDefaults().Apps {
		longest = max(longest, a.DrainDelay+a.DrainTimeout+a.KillAfter)
	}
	if limit := c.StopTimeout; limit > 0 {
		longest = min(longest, max(limit-time.Second, limit/2))
	}
	return longest
}
