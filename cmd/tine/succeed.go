package main

import (
	"context"
	"errors"
	"os"

	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/keeper"
)

// step is called at each step of an upgrade, in the process that has come to it. Tests put
// what goes wrong there.
var step = func(string) {}

// The steps, in their order.
const (
	stepChecked  = "checked"  // old: the preflight was good
	stepBegun    = "begun"    // new: started
	stepPrepared = "prepared" // old: the new one is prepared
	stepGiven    = "given"    // old: has let go of the workers
	stepReceived = "received" // new: has all files
	stepLeading  = "leading"  // new: the keeper follows it
	stepAdopted  = "adopted"  // new: has the workers
	stepReady    = "ready"    // new: has told the old one to end
	stepLeft     = "left"     // old: knows that it is to end
)

// succession is this process's part in upgrades: how it follows another master, and how
// another follows it.
type succession struct {
	*handover.Upgrader
	above *above
}

// openSuccession must be called once, before anything runs beside. nil: there are no upgrades,
// for want of what they take.
func openSuccession(up *above) *succession {
	u, err := handover.New(upgradeTimeout)
	if err != nil {
		goOnWithout(err)
		return nil
	}
	if !u.HasParent() && keeper.PID() == 0 && os.Getenv(keeper.EnvPIDFile) != "" {
		if err := up.client.Lead(context.Background()); err != nil { // else systemd misses the file at each reload, and says so
			goOnWithout(err)
		}
	}
	return &succession{Upgrader: u, above: up}
}

// receive takes what the old master hands on, where there is one.
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

// lead makes this process the master that a keeper follows: from here on it would bring back this one. What the old master
// is to systemd it stays until this one has all: systemd knows no way back.
func (s *succession) lead(ctx context.Context) error {
	if keeper.PID() != 0 {
		if err := s.above.client.Lead(ctx); err != nil {
			return err
		}
	}
	step(stepLeading)
	return nil
}

// inCharge tells everybody that this process is the master.
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

// Upgrade is the Upgrader's, with what only this package has to hand on.
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
		// systemd may have heard already that the one which has failed is the main process.
		if e := s.above.client.Lead(ctx); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}
