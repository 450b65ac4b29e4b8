package worker

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/tinehq/tine/ipc"
)

// metricsMethod is the call by which the master asks for the program's own metrics, each time when it is asked for its.
const metricsMethod = "tine.metrics"

// maxMetrics is the most that one answer tells, in bytes. The master would take no more.
const maxMetrics = 4 << 20

// WithMetrics has the master show the program's own metrics beside its own: gather returns all of them in Prometheus's
// text format (version 0.0.4), at most 4 MiB. The master sums counters and histograms over the workers of an app, and
// tells gauges by slot. It waits one second. gather runs in a goroutine of its own, away from the handlers of calls and
// messages, and never twice at a time. Names that begin with tine_ belong to Tine and are left out.
func WithMetrics(gather func() ([]byte, error)) Option {
	return func(o *options) { o.metrics = gather }
}

// metrics answers with what the program measures. Like dump, it runs beside everything.
func (w *Worker) metrics(f call) {
	ipc.Discard(f.Call)
	gather := w.opts.metrics
	switch {
	case gather == nil:
		w.reply(f, func() (any, error) { return nil, fmt.Errorf("%s %q", ipc.NoHandler, metricsMethod) })
		return
	case !w.gathering.CompareAndSwap(false, true):
		w.reply(f, func() (any, error) { return nil, errors.New("the metrics are being gathered already") })
		return
	}
	go func() {
		b, err := gatherSafely(gather)
		w.gathering.Store(false) // a caller that has this answer may ask again
		w.reply(f, func() (any, error) { return b, err })
	}()
}

// gatherSafely keeps a service alive whose metrics panic.
func gatherSafely(gather func() ([]byte, error)) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("cannot gather metrics: panic: %v\n%.2000s", p, debug.Stack())
		}
	}()
	if b, err = gather(); err != nil {
		return nil, fmt.Errorf("cannot gather metrics: %w", err)
	}
	if len(b) > maxMetrics {
		return nil, fmt.Errorf("cannot send metrics: they have %d bytes, at most %d are allowed", len(b), maxMetrics)
	}
	return b, nil
}
