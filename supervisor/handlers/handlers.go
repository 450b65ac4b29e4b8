package handlers

import (
	"context"
	"time"

	"github.com/tinehq/tine/supervisor/logs"
)

// Message is what a worker sent with worker.Send: a topic and bytes, with the
// worker that it came from. No answer is expected.
type Message struct {
	App    string
	Slot   int
	Worker uint64
	Topic  string
	Data   []byte
}

// Caller names the worker that makes a call.
type Caller struct {
	App    string
	Slot   int
	Worker uint64
}

// CallHandler answers a worker's Call. What it returns is encoded as cached
// values are: []byte and string as they are, anything else as JSON. It runs in a
// goroutine of its own; ctx ends when the caller's time is over.
type CallHandler func(ctx context.Context, from Caller, in []byte) (any, error)

// Functions are the program's own.
type Functions struct {
	OnMessage func(Message)          // nil: messages are shown at the debug level
	OnCall    map[string]CallHandler // by method
}

// Handlers calls Functions. The loop alone calls its methods.
type Handlers struct {
	functions Functions
	logs      *logs.Logs
	messages  messages
	ctx       context.Context // of the calls
	run       func(func())
}

// New makes the Handlers of f, which log to l.
func New(f Functions, l *logs.Logs) *Handlers {
	h := &Handlers{functions: f, logs: l}
	h.messages.queue, h.messages.ended = make(chan waiting, maxMessages), make(chan struct{})
	return h
}

// Start begins to hand over messages. Calls end with ctx, and are answered in goroutines that run starts and that the caller waits
// for. Start comes before the first Message and Call.
func (h *Handlers) Start(ctx context.Context, run func(func())) {
	h.ctx, h.run = ctx, run
	go func() {
		defer close(h.messages.ended)
		for m := range h.messages.queue {
			h.hand(m)
		}
	}()
}

// Close ends the goroutine that calls OnMessage, which first hands over what is queued. It waits for that for lastMessages at most.
func (h *Handlers) Close() {
	h.logDropped()
	close(h.messages.queue)
	select {
	case <-h.messages.ended:
	case <-time.After(lastMessages):
		h.logs.Warn().Msg("OnMessage does not return; not waiting for it")
	}
}
