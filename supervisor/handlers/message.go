package handlers

import (
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// maxMessages is how many messages wait for OnMessage.
	maxMessages = 1024
	// maxBytes is how many bytes they may have together. A single message may have more.
	maxBytes = 64 << 20
	// fileCost is what a message that holds a descriptor counts for at least, in bytes.
	fileCost = 4 << 20
	// lastMessages bounds the wait for those that are queued at the end.
	lastMessages = 2 * time.Second
	// logEvery is the time between two log lines about dropped messages.
	logEvery = time.Second
)

// messages are those that wait for OnMessage.
type messages struct {
	queue    chan waiting
	bytes    atomic.Int64 // of those in the queue, and of the one that OnMessage has
	ended    chan struct{}
	dropped  int       // since loggedAt
	loggedAt time.Time // when dropped messages were logged last
}

// waiting still has its bytes in the payload, which it owns: the loop must not copy up to 1 GiB.
type waiting struct {
	Message
	payload *ipc.Payload
}

func (m waiting) cost() int64 {
	if m.payload.Mapped() {
		return max(int64(m.payload.Len()), fileCost)
	}
	return int64(m.payload.Len())
}

// Message queues a worker's message, or drops it where there is no room. It takes over f's payload.
func (h *Handlers) Message(from Caller, f ipc.Message) {
	if h.functions.OnMessage == nil {
		h.logs.Debug().Str("app", from.App).Int("slot", from.Slot).Uint64("worker", from.Worker).
			Str("topic", f.Topic).Int("bytes", f.Payload.Len()).Msg("message from worker")
		ipc.Discard(f)
		return
	}
	m := &h.messages
	if !m.add(waiting{Message{App: from.App, Slot: from.Slot, Worker: from.Worker, Topic: f.Topic}, f.Payload}) {
		ipc.Discard(f)
		m.dropped++
	}
	if time.Since(m.loggedAt) >= logEvery {
		h.logDropped()
	}
}

// add queues a message, and reports whether there was room, by number and by bytes.
func (m *messages) add(w waiting) bool {
	cost := w.cost()
	if all := m.bytes.Add(cost); all <= maxBytes || all == cost {
		select {
		case m.queue <- w:
			return true
		default:
		}
	}
	m.bytes.Add(-cost)
	return false
}

func (h *Handlers) logDropped() {
	if h.messages.dropped == 0 {
		return
	}
	h.logs.Warn().Int("messages", h.messages.dropped).Msg("messages from workers dropped: OnMessage is too slow")
	h.messages.dropped, h.messages.loggedAt = 0, time.Now()
}

// hand calls OnMessage. If that panics, the message is lost and nothing else.
func (h *Handlers) hand(m waiting) {
	defer h.messages.bytes.Add(-m.cost())
	data, err := m.payload.Bytes()
	if err == nil {
		m.Data = append([]byte(nil), data...)
	}
	m.payload.Release()
	if err != nil {
		h.logs.Error().Str("topic", m.Topic).Err(err).Msg("cannot read a worker's message")
		return
	}
	defer func() {
		if p := recover(); p != nil {
			h.logs.Panicked(p).Str("app", m.App).Int("slot", m.Slot).Uint64("worker", m.Worker).
				Str("topic", m.Topic).Msg("OnMessage panicked; the message is lost")
		}
	}()
	h.functions.OnMessage(m.Message)
}
