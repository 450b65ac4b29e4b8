package master

import (
	"errors"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/succession"
	"golang.org/x/sys/unix"
)

// stillGoneAfter is how long a worker may run on after it has closed its channel: nearly every one ends at the same time.
const stillGoneAfter = time.Second

func (f fact) apply(l *loop) {
	switch fact := f.Fact.(type) {
	case handle.Frame:
		l.frameArrived(f.m, fact)
	case handle.ChannelEnded:
		l.channelEnded(f.m, fact)
	case handle.Stuck:
		if f.m.app.members[f.m.id] == f.m && !f.m.deaf() {
			l.worker(l.logs.Warn(), f.m).Float64("waiting_ms", api.Milliseconds(fact.Waiting)).Msg("worker does not read its channel; it will get the newest values when it does")
		}
	case handle.Suspended:
		if fact.Stopped {
			l.stalled(f.m, slots.BySignal, "stopped by a signal")
		} else {
			l.resumed(f.m, slots.BySignal)
		}
	case handle.Exited:
		l.exited(f.m, fact)
	default:
		panic("master: a fact that no one acts on")
	}
}

func (l *loop) frameArrived(m *member, f handle.Frame) {
	if f.Taken != nil {
		defer close(f.Taken)
	}
	if !m.Current(f.Conn) {
		ipc.Discard(f.Frame) // the worker has another channel by now, on which it has said anew what still holds
		return
	}
	l.frame(m, f.Frame)
}

func (l *loop) channelEnded(m *member, f handle.ChannelEnded) {
	if !m.Current(f.Conn) {
		return // the worker has another channel by now
	}
	if m.Hearing() {
		m.StopHearing()
		return
	}
	m.dropChannel("the worker closed its channel")
	if m.deaf() {
		return
	}
	if f.Err == nil {
		l.later(stillGoneAfter, channelStillGone{m})
		return
	}
	said := "worker broke the channel's rules; replacing it"
	if lost := (*ipc.LostFilesError)(nil); errors.As(f.Err, &lost) {
		said = "channel to worker is unusable by a limit of the master; replacing the worker"
	}
	l.worker(l.logs.Error(), m).Err(f.Err).Msg(said)
	l.step(m.app, pool.Recycle{ID: m.id, Reason: "broken channel: " + f.Err.Error()})
}

// channelStillGone asks whether a worker that has closed its channel has ended too.
type channelStillGone struct{ m *member }

func (f channelStillGone) apply(l *loop) {
	if f.m.app.members[f.m.id] != f.m || f.m.left {
		return // gone; or on its way, in the time that its drain has
	}
	l.worker(l.logs.Warn(), f.m).Msg("worker closed its channel and runs on; replacing it")
	l.step(f.m.app, pool.Recycle{ID: f.m.id, Reason: "closed its channel"})
}

func (l *loop) exited(m *member, f handle.Exited) {
	a := m.app
	if m.ended {
		return // it was let go of between the signs of its end, and taken back
	}
	if f.Left && !m.left && !m.drains {
		l.bye(m, ipc.Bye{Reason: leftUnheard})
	}
	m.ended = true
	delete(a.members, m.id)
	l.touchedWorker(m)
	// Last, when the record has the end: a record that still has the worker would miss its files.
	defer l.unkeep(succession.WorkerName(a.key, m.id))
	a.tally(m)
	m.dropChannel("the worker ended")
	a.lastExit = lastExit{id: m.id, words: f.Exit.LastLine, lines: f.Exit.LastLines}
	l.logDropped(m, true)
	l.step(a, pool.Exited{ID: m.id, Code: f.Exit.Code, Signal: int(f.Exit.Signal), SignalName: unix.SignalName(f.Exit.Signal)})
}
