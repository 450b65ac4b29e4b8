package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/claim"
)

const (
	// stopWait is how long a start waits for a master of the same name that is stopping: with the default timeouts a master
	// has stopped by then.
	stopWait = time.Minute
	// stopLook is how often it looks.
	stopLook = 100 * time.Millisecond
)

// identity decides whether two masters are the same one: the name, and what it was started from.
type identity struct {
	name   string
	config string // absolute path; empty: flags
	env    string // --env: the environment in the config
	named  bool   // by --name: with it a second master of the same config may run
}

func (f *runFlags) identity(c *supervisor.Config) identity {
	id := identity{name: c.Name, env: f.env, named: f.config != "" && f.name != ""}
	if files := c.Files(); len(files) > 0 {
		id.config = files[0]
	}
	return id
}

// about returns what the holder of the claim answers, without the PIDs.
func (id identity) about(address, place string) claim.About {
	return claim.About{Name: id.name, Config: id.config, Env: id.env, Control: address, Place: place}
}

// keepName gives a master that follows another one the name and the control socket of that one, whose claim it holds. A new
// name in the config file counts from the next start on.
func (id *identity) keepName(c *supervisor.Config, held *claim.Claim) {
	if held == nil || claim.FileName(c.Name) == held.Name() {
		return
	}
	if c.Control != supervisor.ControlOff && filepath.Base(c.Control) == target.SocketName(c.Name) {
		c.Control = filepath.Join(filepath.Dir(c.Control), target.SocketName(held.Name()))
	}
	c.Name, id.name = held.Name(), held.Name()
}

// refuseSecond returns an error if a master of the same name runs, or one of the same config under another name. It waits
// up to stopWait for one that is stopping, and says so once on say.
func refuseSecond(ctx context.Context, id identity, c *supervisor.Config, say io.Writer) error {
	for late, told, sure := time.Now().Add(stopWait), false, false; ; {
		other, err := findSecond(ctx, id)
		if err != nil || other == nil {
			if err != nil {
				return err
			}
			return notRunning(ctx, c)
		}
		stopping := other.State == claim.Stopping
		switch {
		case !stopping && sure, stopping && time.Now().After(late):
			return id.refusal(*other)
		case !stopping:
			sure = true // at the second answer: a signal to stop that was sent a moment ago may not have arrived at the first
		case !told:
			told = true
			fmt.Fprintf(say, "tine: %s (pid %d) is stopping: waiting for its end\n", other.Name, other.PID)
		}
		select {
		case <-time.After(stopLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// findSecond returns the running master that a start of id would double; nil: there is none. A claim on the name that
// belongs to another user does not count.
func findSecond(ctx context.Context, id identity) (*claim.About, error) {
	a, err := claim.Ask(ctx, id.name)
	var stranger *claim.StrangerError
	switch {
	case err == nil:
		return &a, nil
	case errors.Is(err, claim.ErrSilent):
		return nil, &claim.TakenError{About: claim.About{Name: id.name, PID: a.PID}, Err: err}
	case !errors.Is(err, claim.ErrNone) && !errors.As(err, &stranger):
		return nil, fmt.Errorf("cannot see whether %s runs already: %w", id.name, err)
	}
	if id.config == "" || id.named {
		return nil, nil
	}
	for _, found := range claim.Find(ctx) {
		if found.Err == nil && found.Name != id.name && found.Env == id.env && found.SameConfig(id.config) {
			return &found.About, nil
		}
	}
	return nil, nil
}

// refusal is the error of a second start: which master runs, how to reach it, and what to do instead.
func (id identity) refusal(other claim.About) error {
	if other.Name != id.name {
		return fmt.Errorf("%s is run already, by the master %s (pid %d): tine config apply -m %s applies what was edited; "+
			"start with --name %s to run another master beside it", id.config, other.Name, other.PID, other.Name, id.name)
	}
	text := fmt.Sprintf("%s runs already (pid %d%s)", other.Name, other.PID, reachedAt(other))
	if other.State == claim.Stopping {
		return fmt.Errorf("%s: it has been stopping for more than %s", text, stopWait)
	}
	if other.Control == "" {
		return fmt.Errorf("%s: kill -USR2 %d replaces its workers; another one needs another --name", text, other.PID)
	}
	return fmt.Errorf("%s: tine reload -m %s replaces its workers; another one needs another --name", text, other.Name)
}

func reachedAt(a claim.About) (text string) {
	if a.Config != "" {
		text = ", config " + a.Config
	}
	if a.Control == "" {
		return text + ", without a control socket"
	}
	return text + ", control " + a.Control
}

// takeClaim takes the claim of a name for the process that is started first: after it no second master of that name can
// start. nil without an error: the claim cannot be taken, but no other master has it. The master runs without, and tries
// again.
func takeClaim(ctx context.Context, id identity, c *supervisor.Config) (*claim.Claim, error) {
	if err := refuseSecond(ctx, id, c, os.Stderr); err != nil {
		return nil, err
	}
	got, err := claim.Take(ctx, id.name)
	var taken *claim.TakenError
	if errors.As(err, &taken) {
		if taken.Err != nil {
			return nil, taken
		}
		return nil, id.refusal(taken.About)
	}
	if err != nil {
		return nil, nil // heldClaim.see tries again, and reports the reason
	}
	return got, nil
}
