package master

import (
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/logs"
)

const (
	// dispatchSize is how many messages wait for the user's OnMessage.
	dispatchSize = 1024
	// dispatchBytes is how many bytes they may have together. A single message may have more.
	dispatchBytes = 64 << 20
	// fileCost is what a message that holds a descriptor counts for at least, in bytes.
	fileCost = 4 << 20
)

// dispatcher calls the user's OnMessage with one message after the other, in a goroutine of its own, so that a slow handler holds up
// neither the loop nor a worker. Beyond dispatchSize messages or dispatchBytes a message is dropped, which is logged at most once
// a second.
type dispatcher struct {
	logs    *logs.Logs
	handler func(Message)
	queue   chan waitingMessage
	bytes   atomic.Int64 // of those that wait, and of the one that is with the handler
	ended   chan struct{}
	dropped int       // messages that were dropped since that was logged last
	saidAt  time.Time // when it was logged last
}

// waitingMessage still has its bytes in the payload, which it owns: the loop must not copy up to 1 GiB.
type waitingMessage struct {
	Message
	payload *ipc.Payload
}

func (m waitingMessage) cost() int64 {
	if m.payload.Mapped() {
		return max(int64(m.payload.Len()), fileCost)
	}
	return int64(m.payload.Len())
}

func newDispatcher(s *Supervisor, logs *logs.Logs) *dispatcher {
	d := &dispatcher{logs: logs, handler: s.onMessage, queue: make(chan waitingMessage, dispatchSize), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		for m := range d.queue {
			d.hand(m)
		}
	}()
	return d
}

// hand calls the handler. A handler that panics loses its message and nothing else.
func (d *dispatcher) hand(m waitingMessage) {
	defer d.bytes.Add(-m.cost())
	data, err := m.payload.Bytes()
	if err == nil {
		m.Data = append([]byte(nil), data...)
	}
	m.payload.Release()
	if err != nil {
		d.logs.Error().Str("topic", m.Topic).Err(err).Msg("cannot read a worker's message")
		return
	}
	defer func() {
		if p := recover(); p != nil {
			d.logs.Panicked(p).Str("app", m.App).Int("slot", m.Slot).Uint64("worker", m.Worker).
				Str("topic", m.Topic).Msg("OnMessage panicked; the message is lost")
		}
	}()
	d.handler(m.Message)
}

// message queues one message of a worker, or drops it when the handler is too far
// behind. Without a handler it is shown at the debug level.
func (d *dispatcher) message(m *crew.Worker, f ipc.Message) {
	if d.handler == nil {
		d.logs.Debug().Str("app", m.App.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).
			Str("topic", f.Topic).Int("bytes", f.Payload.Len()).Msg("message from worker")
		ipc.Discard(f)
		return
	}
	waiting := waitingMessage{Message{App: m.App.Name, Slot: m.Slot, Worker: uint64(m.ID), Topic: f.Topic}, f.Payload}
	if !d.wait(waiting) {
		ipc.Discard(f)
		d.dropped++
	}
	if time.Since(d.saidAt) >= time.Second {
		d.sayDropped()
	}
}

// wait queues a message, and reports whether there was room, by number and by bytes.
func (d *dispatcher) wait(m waitingMessage) bool {
	cost := m.cost()
	if all := d.bytes.Add(cost); all <= dispatchBytes || all == cost {
		select {
		case d.queue <- m:
			return true
		default:
		}
	}
	d.bytes.Add(-cost)
	return false
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
