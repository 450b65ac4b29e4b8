package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
)

const (
	// maxCallTime bounds how long a worker may give the master for an answer.
	maxCallTime = 10 * time.Minute
	// usualCallTime is for a worker's call that does not say how long it may take.
	usualCallTime = 30 * time.Second
	// maxCalls bounds the calls of one worker that are being answered at once.
	maxCalls = 64
)

// Calls counts the calls of one worker that are being answered. The zero value is of a worker that has made none. The loop owns it.
type Calls struct{ running int }

// Answered notes that the loop has the answer to one of them.
func (c *Calls) Answered() { c.running-- }

// UnknownMethodError: OnCall was not given the method.
type UnknownMethodError struct{ Method string }

func (e UnknownMethodError) Error() string {
	return fmt.Sprintf("the master knows no method %q", e.Method)
}

// BusyError: so many calls of the worker are being answered that no further one is.
type BusyError struct{ Running int }

func (e BusyError) Error() string {
	return fmt.Sprintf("%d calls of this worker are running already", e.Running)
}

// Call has a worker's call answered. answered gets the Reply in another goroutine, and reports whether it has taken it over; the loop
// then calls calls.Answered. With an error, which is an UnknownMethodError or a BusyError, the call is not answered. It takes over f's
// payload.
func (h *Handlers) Call(calls *Calls, from Caller, f ipc.Call, answered func(ipc.Reply) bool) error {
	handle, ok := h.functions.OnCall[f.Method]
	switch {
	case !ok:
		ipc.Discard(f)
		return UnknownMethodError{f.Method}
	case calls.running >= maxCalls:
		ipc.Discard(f)
		return BusyError{calls.running}
	}
	calls.running++
	h.run(func() {
		ctx, cancel := context.WithTimeout(h.ctx, callTime(f.Timeout))
		defer cancel()
		if r := h.answer(ctx, handle, from, f); !answered(r) {
			ipc.Discard(r)
		}
	})
	return nil
}

// callTime is how long the answer to a worker's call may take; asked is 0 where the worker does not say.
func callTime(asked time.Duration) time.Duration {
	if asked <= 0 {
		return usualCallTime
	}
	return min(asked, maxCallTime)
}

// answer runs the handler. If that panics, its call gets an error, and the master runs on.
func (h *Handlers) answer(ctx context.Context, handle CallHandler, from Caller, f ipc.Call) (r ipc.Reply) {
	defer ipc.Discard(f)
	defer func() {
		if p := recover(); p != nil {
			h.logs.Panicked(p).Str("app", from.App).Int("slot", from.Slot).Uint64("worker", from.Worker).
				Str("method", f.Method).Msg("OnCall's handler panicked; its caller gets an error")
			r = ipc.Reply{ID: f.ID, Error: fmt.Sprintf("the handler of %q panicked: %v", f.Method, p)}
		}
	}()
	var payload *ipc.Payload
	in, err := f.Payload.Bytes()
	if err == nil {
		var out any
		if out, err = handle(ctx, from, in); err == nil {
			payload, err = cache.Encode(out)
		}
	}
	if err != nil {
		return ipc.Reply{ID: f.ID, Error: err.Error()}
	}
	return ipc.Reply{ID: f.ID, Payload: payload}
}
