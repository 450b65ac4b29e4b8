package supervisor

import (
	"runtime/debug"

	"github.com/tinehq/tine/supervisor/control"
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

// serveControl begins to serve the control API, if that is wanted and can be. The
// caller calls close, which returns when nobody is served any more.
func (s *Supervisor) serveControl() (close func()) {
	if s.controlPath == "" || s.controlPath == ControlOff {
		return func() {}
	}
	server := control.New(s.Commander(), control.Options{
		Path: s.controlPath, Version: s.version, Doctor: s.doctor,
		Logger: s.logs.With().Logger(),
	})
	for _, mount := range s.onControl {
		mount(server)
	}
	if err := server.Listen(); err != nil {
		s.logs.Warn().Str("path", s.controlPath).Err(err).Msg("no control socket: this master can only be reached by signals")
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := server.Serve(); err != nil {
			s.logs.Error().Str("path", s.controlPath).Err(err).Msg("the control API has ended")
		}
	}()
	s.logs.Debug().Str("path", s.controlPath).Msg("control API is served")
	return func() {
		if err := server.Close(); err != nil {
			s.logs.Warn().Str("path", s.controlPath).Err(err).Msg("control API was not closed in order")
		}
		<-ended
	}
}
