package supervisor

import (
	"runtime/debug"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/dashboard"
	"github.com/tinehq/tine/supervisor/keeper"
)

// WithControl has Run serve the control API on the Unix socket at path, for tine's own
// commands and whoever else knows HTTP: see package control, and
// [control.DefaultPath] for where it is looked for. If it cannot be made, Run logs a
// warning and goes on without it. It is the last to be closed, so that the end of a
// stop can be watched. "" or [ControlOff]: none.
func WithControl(path string) Option { return func(o *options) { o.controlPath = path } }

// WithVersion says what version of itself the program tells on the control API. The
// default is what Go knows of the module.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithDoctor says what the control API answers to the question what this machine can
// do: anything that can be written as JSON. It may take some seconds.
func WithDoctor(doctor func() any) Option { return func(o *options) { o.doctor = doctor } }

// OnReachable has tell called with the address of the control socket each time that it listens at another one: a path, or an
// abstract name that begins with @; empty: at none. It is called by one goroutine at a time, and must not wait for the
// Supervisor.
func OnReachable(tell func(address string)) Option { return func(o *options) { o.reachable = tell } }

// OnControl has mount add handlers of its own to the control API, before it is served:
// see [control.Server.Handle]. It may be given more than once.
func OnControl(mount func(*control.Server)) Option {
	return func(o *options) { o.onControl = append(o.onControl, mount) }
}

// moduleVersion is what Go knows of the program that this is built into.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

// serveControl begins to serve the control API, and the dashboard, if they are wanted
// and can be. The caller calls close, which returns when nobody is served any more.
func (s *Supervisor) serveControl() (close func()) {
	path := s.controlPath
	if path == config.ControlOff {
		path = ""
	}
	page := s.config.Dashboard
	if path == "" && page.Listen == "" && s.config.Metrics.Listen == "" && s.config.Health.Listen == "" {
		return func() {}
	}
	server := control.New(lastCommander{s.Commander()}, control.Options{
		Conns: s.descriptors().Control,
		Path:  path, Version: s.version, Doctor: s.doctor, Keeper: keeper.PID(), Elsewhere: s.reachable != nil,
		Logger: s.logs.With().Logger(),
	})
	for _, mount := range s.onControl {
		mount(server)
	}
	gathered := s.mountMetrics(server)
	closeMetrics := s.serveMetrics(gathered, s.config.Metrics)
	closeHealth := s.serveHealth(s.config.Health)
	s.control.Store(server)
	closePage := s.serveDashboard(server, page)
	ended, stopWatching := make(chan struct{}, 1), func() {}
	if path == "" {
		ended <- struct{}{}
	} else if err := s.listenSomewhere(server); err != nil {
		s.logs.Warn().Str("path", path).Err(err).Msg("no control socket: this master can only be reached by signals")
		ended <- struct{}{}
	} else {
		stopWatching = s.watchControl(server)
		go func() {
			defer func() { ended <- struct{}{} }()
			if err := server.Serve(); err != nil {
				s.logs.Error().Str("path", path).Err(err).Msg("the control API has ended")
			}
		}()
		s.logs.Debug().Str("path", server.Address()).Msg("control API is served")
	}
	return func() {
		closePage()
		closeMetrics()
		closeHealth()
		stopWatching()
		if err := server.Close(); err != nil {
			s.logs.Warn().Str("path", path).Err(err).Msg("control API was not closed in order")
		}
		<-ended
	}
}

// listenSomewhere listens at the path, or where only the claim tells.
func (s *Supervisor) listenSomewhere(server *control.Server) error {
	err := s.listenControl(server)
	if err != nil && s.reachable != nil && server.ListenElsewhere() == nil {
		s.logs.Warn().Str("path", server.Path()).Str("address", server.Address()).Err(err).
			Msg("the control socket cannot be made where it is to be: tine finds this master all the same")
		return nil
	}
	return err
}

// controlEvery is how often it is looked whether the control socket is still there.
const controlEvery = time.Second

// watchControl makes the control socket again when somebody has removed it, or its folder, in a goroutine of its own, as the
// loop must not wait for a disk. Who is to know hears of each new address.
func (s *Supervisor) watchControl(server *control.Server) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(controlEvery)
		defer every.Stop()
		told := ""
		for {
			if address := server.Address(); address != told && address != "" {
				told = address
				if s.reachable != nil {
					s.reachable(address)
				}
			}
			retell := false
			select {
			case <-quit:
				return
			case retell = <-s.lookAtControl:
			case <-every.C:
			}
			again, err := server.Renew()
			switch {
			case err != nil:
				s.logs.Warn().Str("path", server.Path()).Str("address", server.Address()).Err(err).
					Msg("the control socket was removed, and cannot be made again for now")
			case again:
				s.logs.Info().Str("path", server.Path()).Msg("the control socket was removed: made again")
			}
			if retell {
				told = ""
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// renewControl has it looked at once, and its address told again: another master may have told its own. It does not wait.
func (s *Supervisor) renewControl() {
	select {
	case s.lookAtControl <- true:
	default: // it is about to be
	}
}

// serveDashboard begins to serve the page. Who looks at it is not who may change
// something: that takes the token.
func (s *Supervisor) serveDashboard(server *control.Server, c config.Dashboard) (close func()) {
	if c.Listen == "" {
		s.inheritTCP(keptDashboard, "")
		return func() {}
	}
	page := dashboard.New(server.API(), dashboard.Options{
		Open: s.openDashboard, Listen: c.Listen, TokenFile: c.TokenFile, Version: s.version, Logger: s.logs.With().Logger(),
	})
	if err := page.Listen(); err != nil {
		s.logs.Warn().Str("address", c.Listen).Err(err).Msg("no dashboard")
		return func() {}
	}
	s.logs.Info().Str("address", page.Address()).Msg("dashboard")
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := page.Serve(); err != nil {
			s.logs.Error().Str("address", c.Listen).Err(err).Msg("the dashboard has ended")
		}
	}()
	return func() {
		if s.handed.isFollowed() {
			page.Drain()
		}
		if err := page.Close(); err != nil {
			s.logs.Warn().Str("address", c.Listen).Err(err).Msg("dashboard was not closed in order")
		}
		<-ended
	}
}
