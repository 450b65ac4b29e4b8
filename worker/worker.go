package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
)

var (
	// ErrAlone answers what needs a master in a worker that has none.
	ErrAlone = errors.New("worker stands alone: there is no master")
	// ErrOrphaned answers what needs a master in a worker whose master has vanished.
	ErrOrphaned = errors.New("the master has vanished")
	// ErrDraining answers what a draining worker no longer does.
	ErrDraining = errors.New("worker is draining")
)

// attachTimeout bounds the conversation at the start: the master answers in microseconds, or something is broken.
const attachTimeout = 10 * time.Second

// Worker is this process as seen from inside: its link to the master, or the stand-in for one. There is normally one
// in a process. All methods may be called from any goroutine.
type Worker struct {
	opts     options
	attached bool
	mail     *mail // nil when alone
	link     *link // nil when alone

	// Written once before Start returns.
	app        string
	id         uint64
	generation uint64

	// assigned closes when the listeners are in hand or could not be had; the fields below it are written before.
	assigned  chan struct{}
	slot      atomic.Int64
	seat      int
	listeners []net.Listener
	tally     *tally // nil when there is no scoreboard
	assignErr error
	assignOne sync.Once
	inner     inner
	books     books
	standby   sync.Once // the master is told once that this worker waits for a slot

	// What a master that takes over is told.
	standsBy, serves atomic.Bool
	applied          atomic.Uint64 // epoch up to which all changes are visible

	store    *store
	dispatch *dispatcher
	calls    calls
	handlers handlers
	dumping  atomic.Bool // one at a time: the world stands still for it

	gathering, profiling atomic.Bool // likewise one at a time

	readyOnce sync.Once
	readyErr  error

	drain    drain
	orphaned chan struct{}
	orphan1  sync.Once
	signals  <-chan struct{} // closed when the process's signals come here
	over     chan struct{}   // no goroutine of the worker outlives this for long
	overOnce sync.Once
}

// Start attaches to the master that started this process and returns when it has been told who it is and holds every
// cached value. Without a master it returns a worker that stands alone, so that the same program runs by itself.
//
// It must be called before the program starts processes of its own: it takes the channel out of the environment.
func Start(opts ...Option) (*Worker, error) {
	o := defaults()
	for _, f := range opts {
		f(&o)
	}
	conn, err := ipc.FromEnv()
	if err != nil {
		return nil, fmt.Errorf("cannot attach to the master: %w", err)
	}
	w := &Worker{
		opts:     o,
		attached: conn != nil,
		assigned: make(chan struct{}),
		store:    newStore(),
		dispatch: newDispatcher(o.logger),
		orphaned: make(chan struct{}),
		over:     make(chan struct{}),
	}
	w.slot.Store(-1)
	w.books.slot = -1
	if conn == nil {
		w.slot.Store(0)
		w.drain.init(o.delay, o.timeout)
	} else {
		w.drain.init(defaultDrainDelay, defaultDrainTimeout)
		renewals, err := ipc.RenewalsFromEnv()
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("cannot attach to the master: %w", err)
		}
		if err := w.attach(conn, renewals); err != nil {
			w.end()
			return nil, fmt.Errorf("cannot attach to the master: %w", err)
		}
	}
	go w.dispatch.run()
	w.watchSignals()
	return w, nil
}

// Attached reports whether there was a master at the start.
func (w *Worker) Attached() bool { return w.attached }

// App is the name of the app in the master's config; "" when alone.
func (w *Worker) App() string { return w.app }

// ID identifies this process among all that the master has started. It only grows; 0 when alone.
func (w *Worker) ID() uint64 { return w.id }

// Generation is the number of the rollout that this process came from; 0 when alone.
func (w *Worker) Generation() uint64 { return w.generation }

// Slot is the position in the app, from 0. It is -1 as long as the master has not assigned one (see [Worker.Listener],
// which waits for it); 0 when alone.
func (w *Worker) Slot() int { return int(w.slot.Load()) }

// Orphaned closes when the master has vanished. The worker serves on.
func (w *Worker) Orphaned() <-chan struct{} { return w.orphaned }

// Draining closes when the worker is told to finish: by the master, or by SIGTERM or SIGINT. Long-lived answers (event
// streams, WebSockets) should come to a polite end then.
func (w *Worker) Draining() <-chan struct{} { return w.drain.begun }

// Done closes when a drain is over: main should return.
func (w *Worker) Done() <-chan struct{} { return w.drain.done }

// Wait blocks until a drain is over. It is for programs that use [Worker.Listener]; Serve waits by itself.
func (w *Worker) Wait() { <-w.drain.done }

// Close ends the worker without draining: servers and listeners are closed and the link to the master is cut. It is
// for tests and for programs that only look at something and exit.
func (w *Worker) Close() error {
	w.drain.begin(w, drainOrder{reason: "closed", handover: true, stay: true})
	w.drain.cut()
	<-w.drain.done
	return nil
}

// Ready tells the master that the worker serves. It is needed only with [WithManualReady]; a second call does nothing.
// A worker without a slot yet waits for it here.
func (w *Worker) Ready() error {
	if _, err := w.Listeners(); err != nil {
		return fmt.Errorf("cannot become ready: %w", err)
	}
	w.readyOnce.Do(func() {
		if w.attached {
			<-w.signals // a worker that is ready drains when it is told to
			w.serves.Store(true)
			w.readyErr = w.send(ipc.Ready{})
		}
	})
	return w.readyErr
}

func (w *Worker) autoReady() {
	if w.opts.manualReady {
		return
	}
	if err := w.Ready(); err != nil && !errors.Is(err, ErrDraining) && !errors.Is(err, ErrOrphaned) {
		w.opts.logger.Error("cannot tell the master that this worker is ready", "error", err)
	}
}

// send queues frames for the master and never waits.
func (w *Worker) send(fs ...ipc.Frame) error {
	select {
	case <-w.orphaned:
		for _, f := range fs {
			ipc.Discard(f)
		}
		return ErrOrphaned
	default:
		return w.mail.send(fs...)
	}
}

// end lets every goroutine of the worker finish.
func (w *Worker) end() {
	w.overOnce.Do(func() { close(w.over) })
	w.dispatch.close()
	if w.mail != nil {
		w.mail.end()
	}
	if w.link != nil && w.link.lifeline != nil {
		w.link.lifeline.close()
	}
	w.calls.fail(ErrDraining)
}

// library names this side in the hello: it shows in the master's log when two versions do not understand each other.
func library() string {
	v := "devel"
	if bi, ok := debug.ReadBuildInfo(); ok {
		if bi.Main.Path == "github.com/tinehq/tine" && bi.Main.Version != "" {
			v = bi.Main.Version
		}
		for _, d := range bi.Deps {
			if d.Path == "github.com/tinehq/tine" {
				v = d.Version
			}
		}
	}
	return "tine-go/" + v
}

// log is for the few lines that the worker writes itself.
func (w *Worker) log() *slog.Logger {
	return w.opts.logger.With("app", w.app, "slot", w.Slot(), "worker", w.id, "pid", os.Getpid())
}

func hello() ipc.Hello {
	return ipc.Hello{Protocol: ipc.Protocol, PID: os.Getpid(), Library: library()}
}

// bounded gives ctx a deadline when it has none: no wait for the master is without one.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
