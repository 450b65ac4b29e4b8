package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/values"
)

// ErrEnded is what every method of a Supervisor returns once Run has returned,
// or before it was called.
var ErrEnded = serve.ErrEnded

// ExitError is how Run reports an end that a process above should see in the
// exit status.
type ExitError struct {
	Code   int    // 70: an app gave up starting; otherwise a worker's own exit code
	App    string // the app that decided it
	Reason string
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("app %s ended with status %d: %s", e.App, e.Code, e.Reason)
}

// Option changes how a Supervisor runs; what it runs is in the Config.
type Option func(*options)

type options struct {
	stdout, stderr io.Writer
	signals        bool
	reload         func() (*config.Config, error)
	functions      handlers.Functions
	version        string
	controlPath    string
	doctor         func() any
	keeper         *keeper.Client
	store          Store
	inherited      map[string][]*os.File
	upgrader       Upgrader
	lead, inCharge func(context.Context) error
	upgradeSignal  syscall.Signal
	binary         string
	preflight      func(ctx context.Context, binary string) (version string, err error)
	nextKeeper     estate.NextKeeper
	reachable      func(address string)
	launch         crew.Launch // nil: with a process
}

// WithOutput sends the workers' output and the log to these instead of the
// process's stdout and stderr. Both may be written to from another goroutine
// until Run has returned.
func WithOutput(stdout, stderr io.Writer) Option {
	return func(o *options) { o.stdout, o.stderr = stdout, stderr }
}

// WithSignals makes the process's signals mean what the README's table says:
// SIGUSR2 rolls, SIGTERM stops, and so on. A program that has a use of its own
// for them leaves it out and calls the methods.
func WithSignals() Option { return func(o *options) { o.signals = true } }

// WithReload says where SIGHUP gets a new Config from. A Config that came from
// Load reads its file again without it.
func WithReload(load func() (*config.Config, error)) Option {
	return func(o *options) { o.reload = load }
}

// OnMessage is called with every worker's messages: see package supervisor.
func OnMessage(f func(handlers.Message)) Option {
	return func(o *options) { o.functions.OnMessage = f }
}

// OnCall answers the workers' calls of method: see package supervisor.
func OnCall(method string, h handlers.CallHandler) Option {
	return func(o *options) { o.functions.OnCall[method] = h }
}

// Supervisor runs the apps of one Config. Its methods may be called from any
// goroutine while Run runs; each of them is a message to Run's one goroutine, so
// that nothing here is locked.
type Supervisor struct {
	config *config.Config
	folder string // that the program was started in, as the shell names it: what relative paths in a config mean; "": unknown
	options
	logs      *logs.Logs
	book      book.Events
	published snapshot.Published // what readers know of the loop
	inbox     chan message
	started   chan struct{} // closed when Run takes messages
	done      chan struct{} // closed when Run takes no more
	ready     chan struct{} // closed when every app was ready once
	began     sync.Once
	wg        sync.WaitGroup // every goroutine that posts to inbox
	server    *serve.Server  // of all that asks from outside
	pins      *launch.Pins
}

// inboxSize is how many facts wait for the loop before the goroutine that posts the next one waits too. It is small: the loop is
// fast, and a worker that floods it is slowed down.
const inboxSize = 256

// New checks c and prepares to run it. It starts nothing.
func New(c *config.Config, opts ...Option) (*Supervisor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	folder, err := os.Getwd()
	if err == nil {
		c = c.In(folder)
	}
	s := &Supervisor{
		config:  c,
		folder:  folder,
		options: options{functions: handlers.Functions{OnCall: map[string]handlers.CallHandler{}}},
		inbox:   make(chan message, inboxSize),
		started: make(chan struct{}),
		done:    make(chan struct{}),
		ready:   make(chan struct{}),
	}
	for _, o := range opts {
		o(&s.options)
	}
	if s.upgrader != nil {
		s.upgrader = handingOver{s.upgrader, s}
	}
	if s.version == "" {
		s.version = moduleVersion()
	}
	s.server = s.newServer()
	return s, nil
}

// Run starts the apps and returns when all of them have ended: nil when they were
// stopped or have finished, *ExitError when one gave up or a worker's exit code
// is to be passed on, another error when nothing could be started. When ctx is
// done it stops them gracefully. It returns within the configured drain and kill
// times, leaves no process and no goroutine, and can be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	first := false
	s.began.Do(func() { first = true })
	if !first {
		return errors.New("cannot run a Supervisor twice")
	}
	return newLoop(s).run(ctx)
}

// Ready is closed when every worker of every app has been ready at the same time
// once.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Stopping is closed when Run has begun to stop, or has ended.
func (s *Supervisor) Stopping() <-chan struct{} { return s.server.CalledOff() }

// post hands m to the loop and waits while its inbox is full. It reports false
// when Run has ended; m is then still the caller's.
func (s *Supervisor) post(m message) bool {
	select {
	case <-s.done:
		return false
	default:
	}
	select {
	case s.inbox <- m:
		return true
	case <-s.done:
		return false
	}
}

func newAnswer[A any]() chan A { return make(chan A, 1) }

// Set broadcasts a cached value to all workers and returns its epoch. []byte and
// string are sent as they are, anything else as JSON; more than 32 KiB travels as
// one shared mapping for all workers. A value equal to the last is not sent again
// and keeps its epoch. It returns when the value is on its way, not when the
// workers have it.
func (s *Supervisor) Set(key string, value any) (epoch uint64, err error) {
	return s.set(context.Background(), key, value)
}

func (s *Supervisor) set(ctx context.Context, key string, value any) (epoch uint64, err error) {
	payload, err := cache.Encode(value)
	if err != nil {
		return 0, fmt.Errorf("cannot set %q: %w", key, err)
	}
	set, err := ask(ctx, s, func(answer chan<- values.Setting) message {
		return ofValues{values.SetValue{Key: key, Payload: payload, Answer: answer}}
	})
	if err != nil {
		return 0, err
	}
	return set.Epoch, set.Err
}

// Delete removes a cached value from the store and from all workers.
func (s *Supervisor) Delete(key string) error {
	_, err := ask(context.Background(), s, func(answer chan<- uint64) message {
		return ofValues{values.DeleteValue{Key: key, Answer: answer}}
	})
	return err
}

// Broadcast sends a message to every worker of every app that is ready.
func (s *Supervisor) Broadcast(topic string, value any) error {
	payload, err := cache.Encode(value)
	if err != nil {
		return fmt.Errorf("cannot broadcast %q: %w", topic, err)
	}
	if err := s.carryOut(ofCrew{crew.Broadcast{Topic: topic, Payload: payload}}); err != nil {
		payload.Release()
		return err
	}
	return nil
}

// Call asks one worker for an answer, as worker.Handle gives it. It fails when
// ctx is done, when the worker ends, or with the worker's own error.
func (s *Supervisor) Call(ctx context.Context, app string, worker uint64, method string, in any) ([]byte, error) {
	payload, err := cache.Encode(in)
	if err != nil {
		return nil, fmt.Errorf("cannot call %s of worker %d: %w", method, worker, err)
	}
	timeout := 30 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	answer, missing := make(chan ipc.Reply, 1), make(chan handle.NoWorker, 1)
	err = s.order(ofCrew{crew.CallWorker{App: app, Worker: worker, Method: method, Timeout: timeout, Payload: payload, Answer: answer, Missing: missing}})
	if err != nil {
		payload.Release()
		return nil, err
	}
	select {
	case r := <-answer:
		return handle.Answer(method, r)
	case err := <-missing:
		return nil, fmt.Errorf("cannot call %s: %w", method, err)
	case <-ctx.Done():
		s.post(ofCrew{crew.CancelCall{Worker: worker, Answer: answer}})
		return nil, fmt.Errorf("cannot call %s of worker %d: %w", method, worker, ctx.Err())
	case <-s.done:
		return nil, ErrEnded
	}
}

// Roll replaces all workers of app ("" for every app), one slot at a time, by what
// is on disk now. It returns when the order is given; a second one during a
// rollout queues one more.
func (s *Supervisor) Roll(app, reason string) error {
	return s.carryOut(roll{app: app, reason: reason})
}

// Scale sets the number of app's workers ("" for every app).
func (s *Supervisor) Scale(app string, workers int) error {
	return s.carryOut(scale{app: app, to: workers})
}

// Stop stops everything gracefully; called again, at once.
func (s *Supervisor) Stop() error { return s.carryOut(stopOrder{reason: "asked to"}) }

// Kill stops everything at once: requests in flight are lost.
func (s *Supervisor) Kill() error {
	return s.carryOut(stopOrder{now: true, reason: "asked to, at once"})
}

// Apply makes c the configuration that runs, as SIGHUP does: what needs no restart
// takes effect at once, what does is rolled, apps that did not change are left
// alone. An invalid c changes nothing.
func (s *Supervisor) Apply(c *config.Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return s.carryOut(applyConfig{config: c})
}

// order hands m to the loop.
func (s *Supervisor) order(m message) error {
	select {
	case <-s.started:
	default:
		return ErrEnded
	}
	if !s.post(m) {
		return ErrEnded
	}
	return nil
}

// carryOut hands m to the loop and waits until the loop has acted on it, so that the next Snapshot has what m changes.
func (s *Supervisor) carryOut(m message) error {
	_, err := ask(context.Background(), s, func(taken chan<- struct{}) message { return receipted{m, taken} })
	return err
}

// receipted is a message whose sender waits until the loop has acted on it.
type receipted struct {
	message
	taken chan<- struct{}
}

func (m receipted) apply(l *loop) {
	m.message.apply(l)
	m.taken <- struct{}{}
}
