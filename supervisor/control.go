package supervisor

import "runtime/debug"

// WithControl has Run serve the control API on the Unix socket at path, for tine's own
// commands and whoever else knows HTTP: see package control, and
// [control.DefaultPath] for where it is looked for. If it cannot be made, Run logs a
// warning and goes on without it. It is the last to be closed, so that the end of a
// stop can be watched. "" or [ControlOff]: none.
func WithControl(path string) Option { return func(o *options) { o.control = path } }

// WithVersion says what version of itself the program tells on the control API. The
// default is what Go knows of the module.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithDoctor says what the control API answers to the question what this machine can
// do: anything that can be written as JSON. It may take some seconds.
func WithDoctor(doctor func() any) Option { return func(o *options) { o.doctor = doctor } }

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
	if s.control == "" || s.control == ControlOff {
		return func() {}
	}
	return func() {}
}
