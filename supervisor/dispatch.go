package supervisor

import (
	"time"

	"github.com/tinehq/tine/ipc"
)

// dispatchSize is how many messages wait for the user's OnMessage.
const dispatchSize = 1024

// dispatcher calls the user's OnMessage with one message after the other, in a
// goroutine of its own, so that a slow handler is nobody else's trouble.
type dispatcher struct {
	logs    *logs
	handler func(Message)
	queue   chan Message
	ended   chan struct{}
	dropped int       // messages that were dropped and not said yet
	saidAt  time.Time // when that was said last
}

func newDispatcher(s *Supervisor, logs *logs) *dispatcher {
	d := &dispatcher{logs: logs, handler: s.onMessage, queue: make(chan Message, dispatchSize), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		for m := range d.queue {
			d.hand(m)
		}
	}()
	return d
}

// hand calls the handler. One that panics loses its message and nothing else.
func (d *dispatcher) hand(m Message) {
	defer func() {
		if p := recover(); p != nil {
			d.logs.panicked(p).Str("app", m.App).Int("slot", m.Slot).Uint64("worker", m.Worker).
				Str("topic", m.Topic).Msg("OnMessage panicked; the message is lost")
		}
	}()
	d.handler(m)
}

// message queues one message of a worker, or drops it when the handler is too far
// behind. Without a handler it is shown at the debug level.
func (d *dispatcher) message(m *member, f ipc.Message) {
	defer ipc.Discard(f)
	data, err := f.Payload.Bytes()
	if err != nil {
		d.logs.Error().Str("topic", f.Topic).Err(err).Msg("cannot read a worker's message")
		return
	}
	if d.handler == nil {
		d.logs.Debug().Str("app", m.app.name).Int("slot", m.slot).Uint64("worker", uint64(m.id)).
			Str("topic", f.Topic).Int("bytes", len(data)).Msg("message from worker")
		return
	}
	message := Message{App: m.app.name, Slot: m.slot, Worker: uint64(m.id), Topic: f.Topic, Data: append([]byte(nil), data...)}
	select {
	case d.queue <- message:
	default:
		d.dropped++
	}
	if time.Since(d.saidAt) >= time.Second {
		d.sayDropped()
	}
}

func (d *dispatcher) sayDropped() {
	if d.dropped == 0 {
		return
	}
	d.logs.Warn().Int("messages", d.dropped).Msg("messages from workers dropped: OnMessage is too slow")
	d.dropped, d.saidAt = 0, time.Now()
}

// close ends the goroutine, which first hands over what is queued.
func (d *dispatcher) close() {
	d.sayDropped()
	close(d.queue)
	select {
	case <-d.ended:
	case <-time.After(endTimeout):
		d.logs.Warn().Msg("OnMessage does not return; not waiting for it")
	}
}
