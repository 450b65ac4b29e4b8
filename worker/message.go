package worker

import (
	"fmt"

	"github.com/tinehq/tine/ipc"
)

// Message is something that the master told this worker. It has no answer; see [Worker.Call] for what has.
type Message struct {
	Topic string
	Data  []byte
}

// Decode stores the message in into, by the rules of [Cached].
func (m Message) Decode(into any) error { return decodeBytes(m.Data, into) }

// Send tells the master something. It never waits: when too much is pending already it says so.
func (w *Worker) Send(topic string, v any) error {
	if !w.attached {
		return fmt.Errorf("cannot send message %q: %w", topic, ErrAlone)
	}
	p, err := payload(v)
	if err == nil {
		err = w.send(ipc.Message{Topic: topic, Payload: p})
	}
	if err != nil {
		return fmt.Errorf("cannot send message %q: %w", topic, err)
	}
	return nil
}

// OnMessage has fn called with every message from the master, in order. Register before Serve: messages that come when
// no handler is registered are dropped.
func (w *Worker) OnMessage(fn func(Message)) { w.handlers.onMessage(fn) }

func (w *Worker) received(f ipc.Message) {
	release := func() { ipc.Discard(f) }
	ok := w.dispatch.post(job{kind: ofMessage, drop: release, run: func() {
		defer release()
		fns := w.handlers.messageHandlers()
		if len(fns) == 0 {
			return
		}
		data, err := copied(f.Payload)
		if err != nil {
			w.opts.logger.Error("cannot read a message of the master", "topic", f.Topic, "error", err)
			return
		}
		for _, fn := range fns {
			fn(Message{f.Topic, data})
		}
	}})
	if !ok {
		release()
		w.dispatch.lose(f.Topic)
	}
}

func payload(v any) (*ipc.Payload, error) {
	b, err := encode(v)
	if err != nil {
		return nil, err
	}
	return ipc.NewPayload(b)
}

// copied returns p's bytes in memory that outlives p.
func copied(p *ipc.Payload) ([]byte, error) {
	if p == nil {
		return []byte{}, nil
	}
	b, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(b)), b...), nil
}
