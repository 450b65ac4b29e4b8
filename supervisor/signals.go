package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalWatch turns the process's signals into messages until it is stopped.
type signalWatch struct {
	signals chan os.Signal
	ended   chan struct{}
}

// watchSignals starts a watch if s was asked for one. What is not listed here keeps
// Go's meaning; SIGURG is the Go runtime's own and SIGWINCH is of no concern to
// anyone who has no screen.
func watchSignals(s *Supervisor) *signalWatch {
	w := &signalWatch{signals: make(chan os.Signal, 64), ended: make(chan struct{})}
	if !s.signals {
		close(w.ended)
		return w
	}
	signal.Notify(w.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU)
	go func() {
		defer close(w.ended)
		for sig := range w.signals {
			s.signalled(sig.(syscall.Signal))
		}
	}()
	return w
}

// stop gives the signals back their default meaning and ends the watch.
func (w *signalWatch) stop() {
	signal.Stop(w.signals)
	close(w.signals)
	<-w.ended
}

// signalled runs in the watch's goroutine, where waiting for a disk is allowed.
func (s *Supervisor) signalled(sig syscall.Signal) {
	switch sig {
	case syscall.SIGHUP:
		c, err := s.loadAgain()
		if err != nil {
			s.post(applyFailed{err})
			return
		}
		s.post(applyConfig{config: c})
	case syscall.SIGUSR1:
		if err := s.logs.Reopen(); err != nil {
			s.logs.Error().Err(err).Msg("log file not reopened; the old one stays in use")
			return
		}
		s.logs.Info().Msg("log file reopened")
	default:
		if m, ok := signalMessage(sig); ok {
			s.post(m)
		}
	}
}

// loadAgain reads the config that SIGHUP asks for.
func (s *Supervisor) loadAgain() (*Config, error) {
	switch {
	case s.reload != nil:
		return s.reload()
	case s.config.Path() != "":
		return Load(s.config.Path())
	}
	return nil, errors.New("there is no config file to read: Tine was started with flags, or with a config made in Go")
}
