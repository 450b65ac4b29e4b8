package main

import (
	"context"
	"errors"
	"github.com/tinehq/tine/supervisor/master"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/listen"
)

// masterRun is one run of a master: the parts of this program that its supervisor is wired to. Its options are the only place
// that joins them.
type masterRun struct {
	above *above      // what the keeper, systemd or tine start gave this process
	next  *succession // upgrades; nil: there are none
	claim *heldClaim  // the claim of the master's name

	upgradeSignal syscall.Signal // 0: none
	reload        func() (*supervisor.Config, error)
}

// runMaster runs a master until it ends, and tells a tine start that waits when the workers are ready. A master that follows
// another one (after an upgrade, or after a crash below a keeper or systemd) goes on with the config of that one; load is
// called if there was none, or if it left no config that can be read.
func (f *runFlags) runMaster(ctx context.Context, load func() (*supervisor.Config, error), upgradeSignal syscall.Signal) (err error) {
	// The reader of the log may go away. That must not end this process, nor change its exit status after the last worker has
	// gone. Caught, not ignored: what a process ignores its children ignore too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	up := lookAbove()
	defer up.close()
	m := &masterRun{above: up, next: openSuccession(up), upgradeSignal: upgradeSignal}
	if f.config != "" {
		m.reload = load
	}
	if m.next != nil {
		defer m.next.Close()
		defer func() {
			if err != nil {
				m.next.Refuse(err.Error())
			}
		}()
	}
	if err := m.next.receive(ctx); err != nil {
		return err
	}
	c, err := master.LeftConfig(up.files)
	if err != nil {
		if c, err = load(); err != nil {
			return err
		}
	}
	h := &heldClaim{above: up, claim: up.inheritClaim()}
	id := f.identity(c)
	id.keepName(c, h.claim)
	h.id, h.place = id, controlOf(c)
	m.claim, up.held = h, h
	follows := m.next != nil && m.next.HasParent() // another master is in charge until this one is ready
	if isFirst := keeper.PID() == 0 && !follows && len(up.files["state"]) == 0; h.claim == nil && isFirst {
		if h.claim, err = takeClaim(ctx, id, c); err != nil {
			return err
		}
		h.store()
	}
	followed := false
	defer func() { h.end(followed) }()
	s, err := master.New(c, m.options(c)...)
	if err != nil {
		return err
	}
	h.ready, h.stops = s.Ready(), s.Stopping()
	if !follows {
		h.begin()
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-s.Ready():
			up.tell()
		case <-ended:
		}
	}()
	if m.next != nil && !follows {
		if err := m.next.Ready(); err != nil {
			return err
		}
	}
	err = s.Run(ctx)
	close(ended)
	<-told
	if followed = errors.Is(err, master.ErrUpgraded); followed {
		return nil // tine upgrade prints that it is done
	}
	return err
}

// options wires the supervisor to this process.
func (m *masterRun) options(c *supervisor.Config) []master.Option {
	all := []master.Option{
		master.WithSignals(),
		master.WithUpgradeSignal(m.upgradeSignal),
		master.WithKeeper(m.above.client),
		// The next master of an upgrade, which has the environment of this process, would take the PID for that of its keeper.
		master.WithNextKeeper(func(files map[string][]*os.File) error { return m.becomeNextKeeper(c, files) }, func() { os.Unsetenv(keeper.EnvKeeper) }),
		master.OnReachable(m.claim.reachable),
	}
	switch {
	case m.above.client.Limit() > 0:
		all = append(all, master.WithStore(m.above.client, m.above.files))
	case runtime.GOOS == "linux": // nothing stores descriptors here, but an upgrade hands on what a store would have
		all = append(all, master.WithStore(nowhere{}, m.above.files))
	default:
		all = append(all, master.WithInherited(m.above.files))
	}
	if m.next != nil {
		all = append(all, master.WithUpgrader(m.next))
		if binary, err := ownBinary(); err == nil {
			all = append(all, master.WithPreflight(binary, preflight))
		}
		if m.next.HasParent() {
			all = append(all, master.WithSuccession(m.next.lead, m.next.inCharge))
		}
	}
	if m.reload != nil {
		all = append(all, master.WithReload(m.reload))
	}
	if c.Control != supervisor.ControlOff {
		all = append(all, master.WithControl(c.Control), master.WithVersion(versionText()),
			master.WithDoctor(func() any { return diagnose(listen.Probe()) }))
	}
	return all
}

// becomeNextKeeper makes this process, a master whose keeper has died, the next keeper, and returns only an error. The pipe
// of a tine start that waits goes with files to the next master.
func (m *masterRun) becomeNextKeeper(c *supervisor.Config, files map[string][]*os.File) error {
	start, err := m.above.duplicateStart()
	if err != nil {
		return err
	}
	if len(start) > 0 {
		defer start[0].Close()
		files = maps.Clone(files)
		files[startName] = start
	}
	return keeper.Succeed(keeperOptions(c, m.claim.id, m.claim.file()), files)
}

// nowhere is a Store that keeps nothing beyond the end of this process.
type nowhere struct{}

func (nowhere) Store(string, ...*os.File) error { return nil }
func (nowhere) Remove(string) error             { return nil }
