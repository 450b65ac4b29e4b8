package master

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/succession"
)

// How a master comes to be in charge of what another one has left, or still has:
//
//	lead ──▶ inherit ──▶ ready ──▶ beginSockets, serve, values.Start, resume
//	         reads only  the other  from here on there is no way back, and nobody who
//	                     one ends   would go it
//
// Whatever fails before ready leaves the other master as it was. What fails after it costs
// the worker, the slot or the value that it is about, and nothing else.

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

// inherit makes the apps: those of the last master, or, where there was none, those of the
// config. It returns the config that holds. A master that follows one that lives changes
// nothing by it.
func (l *loop) inherit(config *config.Config, follows bool) (*config.Config, error) {
	before, err := l.estate.Open()
	if err == nil && before != nil {
		config = before.GoesOn(config)
		if err = l.adopt(*before, config); err == nil {
			l.closeAdopted()
		}
	}
	switch {
	case err != nil && follows:
		return config, fmt.Errorf("cannot take over from the old master: %w", err)
	case err != nil && l.estate.HasRecord():
		return config, l.rescue(config, err)
	case err == nil && before == nil:
		l.estate.RemoveInherited()
		return config, l.open(config)
	}
	return config, err
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
	l.event(nil, zerolog.InfoLevel, control.Event{Kind: control.EventUpgraded, PID: os.Getpid(), Message: "upgraded to tine " + l.s.version})
	l.logs.Info().Str("version", l.s.version).Int("pid", os.Getpid()).Msg("upgraded: this master is in charge")
	return nil
}

// beginSockets takes over the sockets that were adopted. What could not be is made anew
// now, and its workers are replaced when they are there.
func (l *loop) beginSockets() {
	if l.adopted != nil && l.rescued == nil {
		l.forgetPins()
		l.holdReleases()
		l.estate.RemoveUnadopted()
	}
	for s := range l.allSockets() {
		s.Mended = s.Begin()
		for _, m := range s.Mended {
			l.crew.TellMended(s, m)
		}
	}
}

// replaced notes, while this master takes over, that a worker does not go on as it was.
func (l *loop) replaced(m *crew.Worker, why string) {
	if l.adopted == nil {
		return
	}
	all := &l.succession.Replaced
	for _, r := range *all {
		if r.Worker == uint64(m.ID) && r.App == m.App.Name {
			return
		}
	}
	*all = append(*all, control.ReplacedWorker{App: m.App.Name, Slot: m.Slot, Worker: uint64(m.ID), Reason: strings.ToValidUTF8(why, "?")})
}

// allSockets are those of the apps that have not ended, each once.
func (l *loop) allSockets() iter.Seq[*crew.Sockets] {
	return func(yield func(*crew.Sockets) bool) {
		seen := map[*crew.Sockets]bool{}
		for _, a := range l.apps {
			if a.Ended() || seen[a.Sockets] {
				continue
			}
			seen[a.Sockets] = true
			if !yield(a.Sockets) {
				return
			}
		}
	}
}
