package worker

import (
	"context"
	"slices"
	"sync"
)

// HandlerFunc answers a call. in is raw; what it returns is encoded by the rules of [Cached]. The context ends when the
// caller stops waiting.
type HandlerFunc = func(ctx context.Context, in []byte) (any, error)

// handlers are the program's callbacks. They are added at any time and never taken away.
type handlers struct {
	mu       sync.Mutex
	messages []func(Message)
	methods  map[string]HandlerFunc
	slots    chan struct{}
}

// serving is the semaphore of calls that are being answered.
func (h *handlers) serving() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slots == nil {
		h.slots = make(chan struct{}, maxServing)
	}
	return h.slots
}

func (h *handlers) onMessage(fn func(Message)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, fn)
}

func (h *handlers) messageHandlers() []func(Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.messages)
}

func (h *handlers) handle(method string, fn HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.methods == nil {
		h.methods = map[string]HandlerFunc{}
	}
	h.methods[method] = fn
}

func (h *handlers) method(name string) HandlerFunc {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.methods[name]
}
