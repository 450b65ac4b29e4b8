package master

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/serve"
)

// WithControl has Run serve the control API on the Unix socket at path, for tine's own
// commands and other clients that know HTTP: see package control, and
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

// moduleVersion is what Go knows of the program that this is built into.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

// WithPreflight says what an order to upgrade takes where it names no binary, and what is
// tried with each before anything else: whether it is a program that could go on from
// here. It returns that one's version; its error is the order's, and nothing has happened
// then.
func WithPreflight(binary string, try func(ctx context.Context, binary string) (version string, err error)) Option {
	return func(o *options) { o.binary, o.preflight = binary, try }
}

// newServer makes what answers for the Supervisor to the outside.
func (s *Supervisor) newServer() *serve.Server {
	o := serve.Options{
		Version: s.version, Path: s.controlPath, Doctor: s.doctor, Reachable: s.reachable, Keeper: keeper.PID(),
		Dashboard: s.config.Dashboard, Metrics: s.config.Metrics, Health: s.config.Health,
		Conns: s.descriptors().Control, Askers: s.descriptors().Askers, Load: s.loadAgain,
		Upgradable: s.upgrader != nil && s.store != nil, Binary: s.binary, Preflight: s.preflight,
	}
	if o.Path == config.ControlOff {
		o.Path = ""
	}
	return serve.New(serving{s}, o)
}

// descriptors shares out the file descriptors below the store that there is.
func (s *Supervisor) descriptors() host.Descriptors {
	kept := 0
	if bounded, ok := s.store.(interface{ Limit() int }); ok {
		kept = bounded.Limit()
	}
	return host.ShareDescriptors(kept)
}

// handingOver is an Upgrader that also hands over what the server listens at.
type handingOver struct {
	Upgrader
	s *Supervisor
}

func (h handingOver) Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) error {
	err := h.Upgrader.Upgrade(ctx, binary, func() (map[string][]*os.File, error) {
		files, err := give() // from here on the loop stands still
		if err != nil {
			return nil, err
		}
		return files, h.s.server.Hand(files) // files are closed by the loop
	})
	if err != nil {
		h.s.server.Handover.Resume()
		return err
	}
	h.s.server.Handover.Follow()
	return nil
}
