package crew

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
)

// subscribed yields the workers that messages and changes of values go to.
func (c *Crew) subscribed() iter.Seq[*Worker] {
	return func(yield func(*Worker) bool) {
		for _, a := range c.loop.Apps() {
			for _, m := range a.Members {
				if m.Talk.Subscribed() && !yield(m) {
					return
				}
			}
		}
	}
}

// Spread queues a change for every worker that has the snapshot. A worker that does not read keeps one pending change a key, and costs
// the others nothing.
func (c *Crew) Spread(change cache.Change) {
	for m := range c.subscribed() {
		_ = m.SendValue(change.Frame()) // an error: its channel has ended, and the message that tells so is on its way
	}
}

// send queues an order for one worker, and reports whether the order is on its way. An order is never dropped: a worker that cannot
// be given it is replaced.
func (c *Crew) send(m *Worker, order ipc.Frame) bool {
	if !m.Open() {
		ipc.Discard(order)
		return false
	}
	if err := m.Send(order); err != nil {
		c.unsent(m, err)
		return false
	}
	return true
}

// unsent ends the channel on which an order could not be sent.
func (c *Crew) unsent(m *Worker, err error) {
	if !errors.Is(err, ipc.ErrClosed) { // else its end is on its way to the loop
		c.breakChannel(m, err.Error())
	}
}

// note queues a message for one worker. A message for which there is no room is dropped, and that is logged.
func (c *Crew) note(m *Worker, f ipc.Message) {
	m.Note(f)
	c.logDropped(m, false)
}

// logDropped logs how many messages to a worker were dropped since that was last logged, at most once a second, or with all at once.
func (c *Crew) logDropped(m *Worker, all bool) {
	if n, topic := m.Dropped(time.Now(), all); n > 0 {
		m.In(c.logs.Warn()).Int("messages", n).Str("topic", topic).Msg("messages to worker dropped: it does not read its channel")
	}
}

// Broadcast is a message to all workers. Act takes over Payload.
type Broadcast struct {
	Topic   string
	Payload *ipc.Payload
}

func (b Broadcast) Act(c *Crew) {
	for m := range c.subscribed() {
		c.note(m, ipc.Message{Topic: b.Topic, Payload: b.Payload.Retain()})
	}
	b.Payload.Release()
}

// CallWorker is a call of one worker. Either Answer or Missing gets one value; both have room for one. Act takes over Payload.
type CallWorker struct {
	App     string
	Worker  uint64
	Method  string
	Timeout time.Duration
	Payload *ipc.Payload
	Answer  chan<- ipc.Reply
	Missing chan<- handle.NoWorker
}

func (w CallWorker) Act(c *Crew) {
	missing := handle.NoWorker(fmt.Sprintf("no app %q", w.App))
	if a := c.loop.Find(w.App); a != nil {
		if m := a.Members[pool.WorkerID(w.Worker)]; m != nil && m.Talk.Subscribed() {
			m.Call(w.Method, w.Timeout, w.Payload, w.Answer)
			return
		}
		missing = handle.NoWorker(fmt.Sprintf("no worker %d that can be called", w.Worker))
	}
	w.Payload.Release()
	w.Missing <- missing
}

// CancelCall takes a call back that has not been answered.
type CancelCall struct {
	Worker uint64
	Answer chan<- ipc.Reply // which call it is
}

func (x CancelCall) Act(c *Crew) {
	for _, a := range c.loop.Apps() { // also those that are stopping
		if m := a.Members[pool.WorkerID(x.Worker)]; m != nil {
			m.Cancel(x.Answer)
		}
	}
}
