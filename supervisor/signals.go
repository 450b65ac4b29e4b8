package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/keeper"
)

// signalWatch turns the process's signals into messages until it is stopped.
type signalWatch struct {
	s       *Supervisor
	signals chan os.Signal
	reload  chan struct{} // SIGHUP; one may wait
	reopen  chan struct{} // SIGUSR1; one may wait
	ended   chan struct{}
}

// watchSignals starts a watch if s was asked for one. What is not listed here keeps
// Go's meaning; SIGURG is the Go runtime's own and SIGWINCH is of no concern to
// anyone who has no screen.
func watchSignals(s *Supervisor) *signalWatch {
	w := &signalWatch{
		s: s, signals: make(chan os.Signal, 64), ended: make(chan struct{}),
		reload: make(chan struct{}, 1), reopen: make(chan struct{}, 1),
	}
	if !s.options.signals {
		close(w.ended)
		return w
	}
	signal.Notify(w.signals, watched...)
	go w.run()
	return w
}

var watched = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
}

// stop gives the signals back their default meaning and ends the watch. A reload or
// reopen that hangs on its disk is not waited for.
//
// Below a keeper they are ignored instead: what somebody sends to both, as systemd does to
// a control group, comes twice, and the second must not kill a master that has just ended
// in order.
func (w *signalWatch) stop() {
	if w.s.options.signals && keeper.PID() != 0 {
		signal.Ignore(watched...)
	}
	signal.Stop(w.signals)
	close(w.signals)
	select {
	case <-w.ended:
	case <-time.After(endTimeout):
	}
}

// run never waits for a disk: a stop has to get through while a config file hangs.
func (w *signalWatch) run() {
	defer close(w.ended)
	loaded, reopened := forEach(w.reload, w.s.loadConfig), forEach(w.reopen, w.s.reopenLog)
	twins := twins{kept: func() bool { return keeper.PID() != 0 }}
	for more := true; more; {
		var sig os.Signal
		select {
		case sig, more = <-w.signals:
		case <-twins.wait:
			twins.wait = nil
			w.post(syscall.SIGUSR2)
			continue
		}
		switch {
		case !more || twins.hold(sig.(syscall.Signal), time.Now()):
		case sig == syscall.SIGHUP:
			request(w.reload)
		case sig == syscall.SIGUSR1:
			request(w.reopen)
		default:
			w.post(sig.(syscall.Signal))
		}
	}
	close(w.reload)
	close(w.reopen)
	<-loaded
	<-reopened
}

func (w *signalWatch) post(sig syscall.Signal) {
	if m, ok := signalMessage(sig); ok {
		w.s.post(m)
	}
}

// request asks for one more. One that waits already will see what this one means.
func request(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// forEach does something for each request, in a goroutine that ends with them.
func forEach(requests <-chan struct{}, do func()) (ended <-chan struct{}) {
	c := make(chan struct{})
	go func() {
		defer close(c)
		for range requests {
			do()
		}
	}()
	return c
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
