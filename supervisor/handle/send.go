package handle

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// MaxCalls bounds the calls of the master that one worker has not answered.
	MaxCalls = 1024
	// sayEvery is how often the count of dropped messages is told at most.
	sayEvery = time.Second
)

// Send queues frames. The error is [ipc.ErrClosed] where the channel has ended. It takes over what is in f.
func (w *Worker) Send(f ipc.Frame) error {
	if w.outbox == nil {
		ipc.Discard(f)
		return ipc.ErrClosed
	}
	return w.outbox.Send(f)
}

// SendValue queues a change of a value, in place of an earlier one of the key that waits still.
func (w *Worker) SendValue(f ipc.Frame) error {
	if w.outbox == nil {
		ipc.Discard(f)
		return ipc.ErrClosed
	}
	return w.outbox.SendValue(f)
}

// SendValues queues the snapshot of all values.
func (w *Worker) SendValues(v *ipc.Values) error {
	if w.outbox == nil {
		v.Release()
		return ipc.ErrClosed
	}
	return w.outbox.SendValues(v)
}

// dropped counts messages for which there was no room.
type dropped struct {
	n      int       // since they were told last
	topic  string    // of the last one
	toldAt time.Time // when they were told last
}

// Note queues a message. A message that finds no room, because the worker does not read, is dropped and counted: unlike values,
// messages are not kept.
func (w *Worker) Note(f ipc.Message) {
	if err := w.Send(f); err != nil && !errors.Is(err, ipc.ErrClosed) { // that the channel has ended is posted
		w.dropped.n++
		w.dropped.topic = f.Topic
	}
}

// Dropped returns how many messages were dropped since it last returned some, and the topic of the last. It returns none before a second has passed
// since then, or with all, what there is: a sender that floods a worker which does not read must not flood the log as well.
func (w *Worker) Dropped(now time.Time, all bool) (n int, topic string) {
	if w == nil || w.dropped.n == 0 || !all && now.Sub(w.dropped.toldAt) < sayEvery {
		return 0, ""
	}
	n, w.dropped.n, w.dropped.toldAt = w.dropped.n, 0, now
	return n, w.dropped.topic
}

// CloseChannel ends the channel from this side, and fails the calls that wait with why.
func (w *Worker) CloseChannel(why string) {
	if w == nil || w.outbox == nil {
		return
	}
	w.outbox.Close()
	w.outbox = nil
	for id, answer := range w.calls {
		answer <- ipc.Reply{ID: id, Error: why}
	}
	w.calls = nil
}

// Call sends a call, and remembers answer for its Reply. answer gets exactly one Reply unless the call is cancelled, and has room for
// one, so that the loop never waits for a caller that left. The timeout is the worker's to keep; the caller cancels after its
// own. It takes over payload.
func (w *Worker) Call(method string, timeout time.Duration, payload *ipc.Payload, answer chan<- ipc.Reply) {
	if len(w.calls) >= MaxCalls {
		payload.Release()
		answer <- ipc.Reply{Error: fmt.Sprintf("%d calls wait for this worker's answer already", len(w.calls))}
		return
	}
	w.lastCall++
	if err := w.Send(ipc.Call{ID: w.lastCall, Method: method, Timeout: timeout, Payload: payload}); err != nil {
		answer <- ipc.Reply{Error: err.Error()}
		return
	}
	if w.calls == nil {
		w.calls = map[uint64]chan<- ipc.Reply{}
	}
	w.calls[w.lastCall] = answer
}

// Cancel forgets a call whose caller has given up: what is never answered must not keep the worker from being called. The handler
// in the worker runs on, and its answer is dropped.
func (w *Worker) Cancel(answer chan<- ipc.Reply) {
	maps.DeleteFunc(w.calls, func(_ uint64, a chan<- ipc.Reply) bool { return a == answer })
}

// Replied gives the worker's answer to the caller that waits for it, or drops it where the caller has given up.
func (w *Worker) Replied(r ipc.Reply) {
	answer, ok := w.calls[r.ID]
	if !ok {
		ipc.Discard(r)
		return
	}
	delete(w.calls, r.ID)
	answer <- r
}
