package master

import (
	"errors"
	"iter"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/crew"
)

// members yields the workers whose channel carries messages and values.
func (l *loop) members() iter.Seq[*crew.Worker] {
	return func(yield func(*crew.Worker) bool) {
		for _, a := range l.apps {
			for _, m := range a.Members {
				if m.Subscribed && !yield(m) {
					return
				}
			}
		}
	}
}

// introduceWaiting gives the values and a slot to the workers that were started before the values were ready.
func (l *loop) introduceWaiting() {
	waiting := l.wantSnapshot
	l.wantSnapshot = nil
	for _, m := range waiting {
		l.introduce(m)
	}
}

// spread queues a change for every worker that has the snapshot. A worker that does not read keeps one pending change a key, and costs
// the others nothing.
func (l *loop) spread(c cache.Change) {
	for m := range l.members() {
		_ = m.SendValue(c.Frame()) // an error: its channel has ended, and the message that tells so is on its way
	}
}

// send queues an order for one worker. An order is never dropped: a worker that cannot
// be given it is replaced. It says whether the order is on its way.
func (l *loop) send(m *crew.Worker, order ipc.Frame) bool {
	if !m.Open() {
		ipc.Discard(order)
		return false
	}
	if err := m.Send(order); err != nil {
		l.unsent(m, err)
		return false
	}
	return true
}

// unsent ends the channel on which an order could not be sent.
func (l *loop) unsent(m *crew.Worker, err error) {
	if !errors.Is(err, ipc.ErrClosed) { // else its end is on its way to this loop
		l.breakChannel(m, err.Error())
	}
}

// note queues a message for one worker. A message for which there is no room is dropped, and that is logged.
func (l *loop) note(m *crew.Worker, f ipc.Message) {
	m.Note(f)
	l.logDropped(m, false)
}

// logDropped logs how many messages to a worker were dropped since that was last logged, at most once a second, or with all at once.
func (l *loop) logDropped(m *crew.Worker, all bool) {
	if n, topic := m.Dropped(time.Now(), all); n > 0 {
		l.worker(l.logs.Warn(), m).Int("messages", n).Str("topic", topic).Msg("messages to worker dropped: it does not read its channel")
	}
}

// worker adds to a log line which worker it speaks of.
func (l *loop) worker(e *zerolog.Event, m *crew.Worker) *zerolog.Event {
	return e.Str("app", m.App.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Int("pid", m.PID())
}
