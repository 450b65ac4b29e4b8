package main

import (
	"context"
	"errors"
	"os"

	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/keeper"
)

// step is called at each step of an upgrade, in the process that takes it. Tests let the step fail there.
var step = func(string) {}

// The steps, in their order.
const (
	stepChecked  = "checked"  // old master: the preflight succeeded
	stepBegun    = "begun"    // new master: started
	stepPrepared = "prepared" // old master: the new one is prepared
	stepGiven    = "given"    // old master: has released the workers
	stepReceived = "received" // new master: has all files
	stepLeading  = "leading"  // new master: the keeper restarts this one from here on
	stepAdopted  = "adopted"  // new master: has the workers
	stepReady    = "ready"    // new master: has told the old one to end
	stepLeft     = "left"     // old master: has been told to end
)

// succession is the part of this process in upgrades: it follows an old master, and a new master follows it. It adds to
// handover.Upgrader what a keeper or systemd must be told, and the files of this package.
type succession struct {
	*handover.Upgrader
	above *above
}

// openSuccession returns nil if upgrades are not possible here. Call it once, before other goroutines start.
func openSuccession(up *above) *succession {
	u, err := handover.New(upgradeTimeout)
	if err != nil {
		goOnWithout(err)
		return nil
	}
	if !u.HasParent() && keeper.PID() == 0 && os.Getenv(keeper.EnvPIDFile) != "" {
		if err := up.client.Lead(context.Background()); err != nil { // else systemd logs at each reload that the PID file is missing
			goOnWithout(err)
		}
	}
	return &succession{Upgrader: u, above: up}
}

// receive takes the files of the old master, if this process is a new one. s may be nil.
func (s *succession) receive(ctx context.Context) error {
	if s == nil || !s.HasParent() {
		return nil
	}
	step(stepBegun)
	keeper.SucceedWatchdog()
	ctx, cancel := context.WithTimeout(ctx, upgradeTimeout)
	defer cancel()
	files, err := s.Receive(ctx)
	if err != nil {
		return err
	}
	step(stepReceived)
	s.above.files = files
	s.above.client.Held(files)
	s.above.takeStart()
	return nil
}

// lead makes this process the master that a keeper starts again if it dies. systemd is told later, in inCharge: the main
// process of a unit cannot be changed back.
func (s *succession) lead(ctx context.Context) error {
	if keeper.PID() != 0 {
		if err := s.above.client.Lead(ctx); err != nil {
			return err
		}
	}
	step(stepLeading)
	return nil
}

// inCharge tells systemd and the old master that this process is the master.
func (s *succession) inCharge(ctx context.Context) error {
	step(stepAdopted)
	if keeper.PID() == 0 {
		if err := s.above.client.Lead(ctx); err != nil {
			return err
		}
	}
	if err := s.Ready(); err != nil {
		return err
	}
	s.above.held.begin()
	step(stepReady)
	return nil
}

// Upgrade is handover.Upgrader.Upgrade; it adds the pipe of tine start and the claim to the files.
func (s *succession) Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) error {
	step(stepChecked)
	given := false
	err := s.Upgrader.Upgrade(ctx, binary, func() (map[string][]*os.File, error) {
		step(stepPrepared)
		files, err := give()
		if err != nil {
			return nil, err
		}
		if start, err := s.above.duplicateStart(); err != nil {
			return nil, err
		} else if len(start) > 0 {
			files[startName] = start
		}
		if claim, err := s.above.held.duplicate(); err != nil {
			return nil, err
		} else if claim != nil {
			files[keeper.ClaimName] = claim
		}
		given = true
		step(stepGiven)
		return files, nil
	})
	if err == nil {
		step(stepLeft)
		return nil
	}
	if given && keeper.PID() == 0 {
		// The new master may have told systemd already that it is the main process.
		if e := s.above.client.Lead(ctx); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}
