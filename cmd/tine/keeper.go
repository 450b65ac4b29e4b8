package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/keeper"
	"golang.org/x/sys/unix"
)

// keeperMode is the flag that says whether a keeper is above the master.
type keeperMode string

const (
	keeperAuto keeperMode = "auto"
	keeperOn   keeperMode = "on"
	keeperOff  keeperMode = "off"
)

func (k *keeperMode) Set(text string) error {
	switch mode := keeperMode(text); mode {
	case keeperAuto, keeperOn, keeperOff:
		*k = mode
		return nil
	}
	return fmt.Errorf("%q is none of auto, on and off", text)
}

func (k *keeperMode) String() string { return string(*k) }
func (k *keeperMode) Type() string   { return "mode" }

// watchdogDefault is how long a master may be silent before its keeper takes it for hung. A loop that goes on is silent for
// half of that.
const watchdogDefault = 30 * time.Second

// surroundings are what decides whether a process becomes a keeper.
type surroundings struct {
	system string // GOOS
	pid    int    // of this process
	keeper int    // PID of the one above, 0: none
	store  bool   // somebody waits for notifications and keeps descriptors
}

func here() surroundings {
	files, _ := strconv.Atoi(os.Getenv("FDSTORE")) // systemd says so from version 254 on, the unit for those before
	return surroundings{runtime.GOOS, os.Getpid(), keeper.PID(), os.Getenv("NOTIFY_SOCKET") != "" && files > 0}
}

// wants says whether tine run is to become a keeper, which then starts a master by the same command line: that has a keeper
// above it, and is none whatever the flag says. In auto systemd is left to do itself what a keeper does, where its unit has
// a descriptor store. But not above PID 1: nobody there would start another master with the descriptors that this one had.
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

// becomeKeeper makes this process the keeper of a master for c, and returns only if that is impossible.
func becomeKeeper(c *supervisor.Config, id identity, watchdog time.Duration) error {
	got, err := takeClaim(context.Background(), id, c)
	if err != nil {
		return err
	}
	if err := handOnStartPipe(); err != nil {
		return err
	}
	o := keeperOptions(c, id, got.File())
	if keeper.WatchdogInterval() == 0 { // else whoever watches the keeper has said how long it may take
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
		Command: self, Fallback: own, StopTimeout: longestStop(c), JSON: supervisor.LogsJSON(c.Log, os.Stderr),
		Claim: claim, ClaimText: id.about(controlOf(c), controlOf(c)).Text(),
	}
}

// controlOf is the path of the control socket; empty: there is to be none.
func controlOf(c *supervisor.Config) string {
	if c.Control == supervisor.ControlOff {
		return ""
	}
	return c.Control
}

// longestStop is how long the apps of c may take to stop: a little less than what somebody outside has set, who kills all then.
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

// nextKeeper makes a master whose keeper has died the next keeper. A tine start that waits is told by the next master.
func nextKeeper(c *supervisor.Config, h *heldClaim) supervisor.Option {
	return supervisor.WithNextKeeper(func(files map[string][]*os.File) error {
		start, err := h.above.duplicateStart()
		if err != nil {
			return err
		}
		if len(start) > 0 {
			defer start[0].Close()
			files = maps.Clone(files)
			files[startName] = start
		}
		return keeper.Succeed(keeperOptions(c, h.id, h.file()), files)
	})
}

// startName is the name under which the pipe of tine start goes through a keeper. It is kept there until a master has told
// that it is ready: the first may have crashed before.
const startName = "tine-start"

// handOnStartPipe makes the pipe of envStart one of the descriptors that a keeper passes to its masters.
func handOnStartPipe() error {
	const first = 3 // sd_listen_fds(3)
	text, ok := os.LookupEnv(envStart)
	if !ok {
		return nil
	}
	os.Unsetenv(envStart)
	if text != strconv.Itoa(first) {
		return fmt.Errorf("cannot use %s=%s: %d is expected", envStart, text, first)
	}
	if _, err := unix.FcntlInt(first, unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("cannot use %s=%s: %w", envStart, text, err)
	}
	os.Setenv("LISTEN_FDS", "1")
	os.Setenv("LISTEN_FDNAMES", startName)
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	return nil
}

// above is what a master gets from whoever has started it.
type above struct {
	client *keeper.Client
	files  map[string][]*os.File
	start  *os.File   // the pipe of tine start; nil: none waits
	held   *heldClaim // the claim
}

// lookAbove takes what a master was started with, once. What cannot be used is no reason not to serve.
func lookAbove() above {
	var a above
	var errs [2]error
	a.client, errs[0] = keeper.Dial()
	a.files, errs[1] = keeper.Inherited()
	if err := errors.Join(errs[:]...); err != nil {
		fmt.Fprintf(os.Stderr, "tine: %v; going on without\n", err)
	}
	a.client.Held(a.files)
	a.start = startPipe()
	a.takeStart()
	return a
}

// takeStart takes the pipe of tine start out of the files.
func (a *above) takeStart() {
	for _, f := range a.files[startName] {
		if a.start != nil {
			a.start.Close()
		}
		a.start = f
	}
	delete(a.files, startName)
}

// duplicateStart is the pipe for the next master; none where nobody waits, or its reader was told already.
func (a *above) duplicateStart() (files []*os.File, err error) {
	if a.start == nil {
		return nil, nil
	}
	f, err := ipc.Duplicate(a.start)
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot hand on the pipe of tine start: %w", err)
	}
	return []*os.File{f}, nil
}

// options are those of the supervisor. What systemd would not keep is not stored. An upgrade needs nobody who keeps anything.
func (a above) options() []supervisor.Option {
	keep := supervisor.WithStore(a.client, a.files)
	if a.client.Limit() == 0 {
		keep = supervisor.WithInherited(a.files)
		if runtime.GOOS == "linux" {
			keep = supervisor.WithStore(nowhere{}, a.files)
		}
	}
	return []supervisor.Option{supervisor.WithKeeper(a.client), keep}
}

// nowhere is a store where there is none: what this process holds ends with it.
type nowhere struct{}

func (nowhere) Store(string, ...*os.File) error { return nil }
func (nowhere) Remove(string) error             { return nil }

// tell tells a tine start that waits that the workers are ready.
func (a above) tell() {
	if a.start == nil {
		return
	}
	_, _ = a.start.WriteString(readyWord) // who started it may have gone
	_ = a.client.Remove(startName)
	a.start.Close() // whoever reads it may wait for its end
}

func (a above) close() {
	if a.start != nil {
		a.start.Close()
	}
	a.client.Close()
}

// foremost is the process that a person knows as tine: it gets the signals, and ends last.
func foremost(st control.Status) int {
	if st.KeeperPID != 0 {
		return st.KeeperPID
	}
	return st.PID
}

// aboveWorkers names the processes above the workers.
func aboveWorkers(st control.Status) string {
	if st.KeeperPID == 0 {
		return strconv.Itoa(st.PID)
	}
	return fmt.Sprintf("%d (keeper %d)", st.PID, st.KeeperPID)
}
