package master

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/succession"
)

// Store holds files for the master that comes after this one: see [succession.Store]. One that has Room(context.Context)
// (keeper.Room, error) is asked by it what it had no room for.
type Store = succession.Store

// WithStore has everything that the next master needs kept in s, and goes on where the
// last one ended: inherited is what that one has left there, by name. Its workers are
// adopted, none is started anew, with the apps and cached values that it ran with: those of the
// Config given to New count only where there was no master before, or its record is lost. To
// change what runs then takes Apply. The files are the Supervisor's from here on.
func WithStore(s Store, inherited map[string][]*os.File) Option {
	return func(o *options) { o.store, o.inherited = s, inherited }
}

// LeftConfig returns the config that the last master ran with, which was killed, or hands
// over, and has left inherited: see WithStore. A Supervisor that is made with it goes on as the
// last one did, down to its name and its addresses. Nothing is taken out of inherited.
func LeftConfig(inherited map[string][]*os.File) (*config.Config, error) {
	return succession.LeftConfig(inherited)
}

// WithInherited gives the supervisor the files that this process was started with, by name, as keeper.Inherited returns
// them, where WithStore does not do so. They are its own then, and closed by it. A listening socket among them, as systemd passes it for socket activation,
// is served by the app that listens on its address; if there is one app only and that has no address, it serves all of them.
// Its name does not matter. See package listen, under Given, for how workers share such a socket.
func WithInherited(files map[string][]*os.File) Option {
	return func(o *options) { o.inherited = files }
}

// WithSuccession is for a process that an Upgrader of another master has started, which
// has handed it what WithStore takes as inherited. lead is called first of all: an error
// says that this process must not become the master. ready is called when it is certain
// that all can be adopted: the other master is to end then. Until ready has returned nil
// nothing is changed that the other master has, so that after an error, or if this process
// dies, that one goes on as if nothing had been. Run returns the error. Both are bounded by
// the caller, and not called where nothing was inherited.
func WithSuccession(lead, ready func(context.Context) error) Option {
	return func(o *options) { o.lead, o.inCharge = lead, ready }
}

// WithNextKeeper is for the case that the keeper ends before its master, which nothing would
// start again then. become puts a keeper in the place of this process, as
// [keeper.Succeed] does, and returns only an error; files are all that the next master
// needs, which adopts the workers. When it fails, this master goes on without a keeper, says
// so, and tries again; without become that stays so. WithStore is needed too. gone is called
// once this master goes on without a keeper, so that the process tells those that it starts; it
// must not wait. nil: nothing is called.
func WithNextKeeper(become func(files map[string][]*os.File) error, gone func()) Option {
	return func(o *options) { o.nextKeeper = estate.NextKeeper{Become: become, Gone: gone} }
}

// takeOver is the beginning of a master that follows one that lives.
func (l *loop) takeOver(ctx context.Context) error {
	if l.s.lead == nil {
		return nil
	}
	if len(l.s.inherited[succession.StateFile]) == 0 {
		return errors.New("cannot take over from the old master: it has handed on no state")
	}
	if err := l.s.lead(ctx); err != nil {
		return fmt.Errorf("cannot take over from the old master: %w", err)
	}
	return nil
}

// inherit makes the apps: those of the last master, or, where there was none, those of c. It returns the config that holds. A
// master that follows one that lives changes nothing by it.
func (l *loop) inherit(c *config.Config, follows bool) (*config.Config, error) {
	in, err := l.estate.Inherit(c, follows)
	if err != nil {
		return c, err
	}
	if !l.estate.Adopted() {
		return in.Config, l.open(in.Config)
	}
	for i, o := range l.enter(in.Apps...) {
		in.Restore.Runs[i].Spec, in.Restore.Runs[i].Facts = o.Spec, o.Facts
	}
	l.decide(in.Restore)
	running := *in.Config
	running.Apps = nil
	for _, a := range l.apps {
		if !a.Leaves() || a.Halted() {
			running.Apps = append(running.Apps, a.Config)
		}
	}
	l.plans.Runs(&running)
	l.estate.KeepConfig(in.Config)
	return in.Config, nil
}

// tookOver tells the other master to end. If that fails it goes on, so that nothing here
// may be touched any more.
func (l *loop) tookOver(ctx context.Context) error {
	if l.s.inCharge == nil {
		return nil
	}
	if err := l.s.inCharge(ctx); err != nil {
		l.estate.SetLeft()
		return fmt.Errorf("cannot take over from the old master: %w", err)
	}
	l.openReport()
	l.event(nil, zerolog.InfoLevel, api.Event{Kind: api.EventUpgraded, PID: os.Getpid(), Message: "upgraded to tine " + l.s.version})
	l.logs.Info().Str("version", l.s.version).Int("pid", os.Getpid()).Msg("upgraded: this master is in charge")
	return nil
}

// goOnWith starts what the last master had not come to start of the config that it ran with: apps that wait for others,
// and what was left to do of a config that it was applying. A rollout that was aborted is not tried again.
func (l *loop) goOnWith(c *config.Config) {
	if !l.state.Stopping() && len(file.Diff(l.plans.Config(), c)) > 0 {
		l.plans.GoOn(c)
	}
}
