package worker

import (
	"log/slog"
	"os"
	"time"
)

// Option changes how [Start] sets a worker up.
type Option func(*options)

type options struct {
	listen      []string
	manualReady bool
	orphanGrace time.Duration
	orphan      OrphanPolicy
	logger      *slog.Logger
	delay       time.Duration
	timeout     time.Duration
	metrics     func() ([]byte, error)

	exit   func(code int) // os.Exit, but for tests
	attach time.Duration  // attachTimeout, but for tests
}

// What a worker does when the order to drain does not say otherwise: the same numbers as the master's defaults.
const (
	defaultDrainDelay   = time.Second
	defaultDrainTimeout = 30 * time.Second
)

func defaults() options {
	o := options{logger: slog.Default(), timeout: defaultDrainTimeout, exit: os.Exit, attach: attachTimeout, listen: []string{":8080"}}
	if p := os.Getenv("PORT"); p != "" {
		o.listen = []string{":" + p}
	}
	return o
}

// WithListen names the addresses to listen on when the worker stands alone: ":7000", "127.0.0.1:7000",
// "tcp4://0.0.0.0:7000", "unix:/run/app.sock". Without it the environment variable PORT decides, else ":8080".
// Under a master it has no effect: the sockets come from there.
func WithListen(addrs ...string) Option {
	return func(o *options) { o.listen = addrs }
}

// WithManualReady leaves it to the program to call [Worker.Ready]; otherwise Serve and Listener do.
func WithManualReady() Option {
	return func(o *options) { o.manualReady = true }
}

// OrphanPolicy is what a worker does some time after its master has vanished.
type OrphanPolicy int

const (
	OrphanServe OrphanPolicy = iota // serve on for ever (the default)
	OrphanDrain                     // drain and exit when the grace is over
)

// WithOrphanGrace sets what happens when the master has been gone for d. Whatever the policy, the worker serves on
// during d, and [Worker.Orphaned] tells at once.
func WithOrphanGrace(d time.Duration, p OrphanPolicy) Option {
	return func(o *options) { o.orphanGrace, o.orphan = d, p }
}

// WithLogger sets where the few lines go that the worker writes itself: attached, drained, orphaned, dropped messages.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.logger = l }
}

// WithDrain sets the limits of a drain in a worker that stands alone; the default is no delay and 30 s. Under a master
// each order to drain carries its own.
func WithDrain(delay, timeout time.Duration) Option {
	return func(o *options) { o.delay, o.timeout = delay, timeout }
}
