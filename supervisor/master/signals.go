package master

import (
	"context"
	"errors"
	"syscall"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/signals"
)

// watchSignals has the loop told what the process's signals order, if s was asked to.
func watchSignals(s *Supervisor) (stop func()) {
	if !s.options.signals {
		return func() {}
	}
	return signals.Watch(signals.Handlers{
		Reload: s.loadConfig,
		Reopen: s.reopenLog,
		Roll:   func(reason string) { s.post(roll{reason: reason}) },
		Scale:  func(by int) { s.post(scale{by: by}) },
		Stop:   func(reason string) { s.post(stopOrder{reason: reason}) },
		Kept:   keeper.PID() != 0,
	})
}

// WithUpgradeSignal makes sig an order to upgrade to what WithPreflight names, with its outcome in the log. 0 is none.
func WithUpgradeSignal(sig syscall.Signal) Option {
	return func(o *options) { o.upgradeSignal = sig }
}

// upgradeBySignal upgrades; all that can come of it is logged.
func (s *Supervisor) upgradeBySignal(name string) {
	_ = s.Commander().Do(context.Background(), api.Order{Verb: api.VerbUpgrade, Reason: "signal: " + name}, nil)
}

func (s *Supervisor) loadConfig() {
	s.post(reloadBegun{})
	defer s.post(reloadEnded{})
	s.server.LookAtControl()
	c, err := s.loadAgain()
	if err != nil {
		s.post(applyFailed{err})
		return
	}
	s.post(applyConfig{config: c})
}

func (s *Supervisor) reopenLog() {
	files, err := s.logs.Reopen()
	switch {
	case err != nil:
		s.logs.Error().Err(err).Msg("log file not reopened; the old one stays in use")
	case files == 0:
		s.logs.Info().Msg("no log file to reopen: the log goes to where Tine was started")
	default:
		s.logs.Info().Int("files", files).Msg("log file reopened")
	}
}

// loadAgain reads the config that SIGHUP asks for.
func (s *Supervisor) loadAgain() (*config.Config, error) {
	switch {
	case s.reload != nil:
		return s.reload()
	case s.config.Path() != "":
		return file.Reload(s.config)
	}
	return nil, errors.New("there is no config file to read: Tine was started with flags, or with a config made in Go")
}
