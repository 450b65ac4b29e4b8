package supervisor

import (
	"context"
	"io"

	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/master"
)

// ErrEnded is what every method of a Supervisor returns once Run has returned, or before it was called.
var ErrEnded = master.ErrEnded

type (
	// ExitError is how Run reports an end that a process above should see in the exit status.
	ExitError = master.ExitError
	// Message is what a worker sent with worker.Send.
	Message = handlers.Message
	// Caller names the worker that makes a call.
	Caller = handlers.Caller
	// CallHandler answers a worker's Call.
	CallHandler = handlers.CallHandler
	// Status is what a master knows of its apps at one moment.
	Status = master.Status
	// Option changes how a Supervisor runs; what it runs is in the Config.
	Option = master.Option
)

// WithOutput sends the workers' output and the log to these instead of the process's stdout and stderr. Both may be written
// to from another goroutine until Run has returned.
func WithOutput(stdout, stderr io.Writer) Option { return master.WithOutput(stdout, stderr) }

// WithSignals makes the process's signals mean what README's table says: SIGUSR2 rolls, SIGTERM stops, and so on. A program
// that has a use of its own for them leaves it out and calls the methods.
func WithSignals() Option { return master.WithSignals() }

// WithReload says where SIGHUP gets a new Config from. A Config that came from Load reads its file again without it.
func WithReload(load func() (*Config, error)) Option { return master.WithReload(load) }

// WithControl sets the path of the control socket. Without it the Config decides, and a Config that says nothing has none.
func WithControl(path string) Option { return master.WithControl(path) }

// OnMessage is called with every worker's messages, one after the other. Up to 1,024 of 64 MiB together wait for it, of which those
// of over 64 KiB count for 4 MiB at least; one alone may have more. A message that comes while so many wait is dropped and logged.
func OnMessage(f func(Message)) Option { return master.OnMessage(f) }

// OnCall answers the workers' calls of method. At most 64 calls of one worker run at once; the next is answered with an
// error.
func OnCall(method string, h CallHandler) Option { return master.OnCall(method, h) }

// Supervisor runs the apps of one Config. Its methods may be called from any goroutine while Run runs. Each of them is a
// message to the one goroutine that owns the state of the master, so that nothing is locked.
type Supervisor struct{ m *master.Supervisor }

// New checks c and prepares to run it. It starts nothing.
func New(c *Config, opts ...Option) (*Supervisor, error) {
	m, err := master.New(c, opts...)
	if err != nil {
		return nil, err
	}
	return &Supervisor{m}, nil
}

// Run runs c as cmd/tine does, with signals, until all its apps have ended or ctx is done. See [Supervisor.Run].
func Run(ctx context.Context, c *Config, opts ...Option) error {
	s, err := New(c, append([]Option{WithSignals()}, opts...)...)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// Run starts the apps and returns when all of them have ended: nil when they were stopped or have finished, *ExitError when
// one gave up or a worker's exit code is to be passed on, another error when nothing could be started. When ctx is done it
// stops them gracefully. It returns within the configured drain and kill times, leaves no process and no goroutine, and can
// be called once.
func (s *Supervisor) Run(ctx context.Context) error { return s.m.Run(ctx) }

// Ready is closed when every worker of every app has been ready at the same time once.
func (s *Supervisor) Ready() <-chan struct{} { return s.m.Ready() }

// Stopping is closed when Run has begun to stop, or has ended.
func (s *Supervisor) Stopping() <-chan struct{} { return s.m.Stopping() }

// Set broadcasts a cached value to all workers and returns its epoch. []byte and string are sent as they are, anything else
// as JSON; more than 32 KiB travels as one shared mapping for all workers. A value equal to the last is not sent again and
// keeps its epoch. It returns when the value is on its way, not when the workers have it.
func (s *Supervisor) Set(key string, value any) (epoch uint64, err error) { return s.m.Set(key, value) }

// Delete removes a cached value from the store and from all workers.
func (s *Supervisor) Delete(key string) error { return s.m.Delete(key) }

// Broadcast sends a message to every worker of every app that is ready. A worker that does not read its channel may miss it.
func (s *Supervisor) Broadcast(topic string, value any) error { return s.m.Broadcast(topic, value) }

// Call asks one worker for an answer, as worker.Handle gives it. It fails when ctx is done, when the worker ends, or with the
// worker's own error.
func (s *Supervisor) Call(ctx context.Context, app string, worker uint64, method string, in any) ([]byte, error) {
	return s.m.Call(ctx, app, worker, method, in)
}

// Roll replaces all workers of app ("" for every app), one slot at a time, by what is on disk now. It returns when the order
// is given; a second one during a rollout queues one more.
func (s *Supervisor) Roll(app, reason string) error { return s.m.Roll(app, reason) }

// Scale sets the number of app's workers ("" for every app).
func (s *Supervisor) Scale(app string, workers int) error { return s.m.Scale(app, workers) }

// Apply makes c the configuration that runs, as SIGHUP does: what needs no restart takes effect at once, what does is rolled,
// apps that did not change are left alone. An invalid c changes nothing.
func (s *Supervisor) Apply(c *Config) error { return s.m.Apply(c) }

// Stop stops everything gracefully; called again, at once.
func (s *Supervisor) Stop() error { return s.m.Stop() }

// Kill stops everything at once: requests in flight are lost.
func (s *Supervisor) Kill() error { return s.m.Kill() }

// Status returns what runs now.
func (s *Supervisor) Status() (Status, error) { return s.m.Status() }
