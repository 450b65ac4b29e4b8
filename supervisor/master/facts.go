package master

import (
	"errors"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/succession"
	"golang.org/x/sys/unix"
)

// stillGoneAfter is how long a worker may run on after it has closed its channel: nearly every one ends at the same time.
const stillGoneAfter = time.Second

// heard acts on what the handle of a worker has posted.
func (l *loop) heard(m *crew.Worker, f handle.Fact) {
	switch fact := f.(type) {
	case handle.Frame:
		l.frameArrived(m, fact)
	case handle.ChannelEnded:
		l.channelEnded(m, fact)
	case handle.Stuck:
		if m.App.Members[m.ID] == m && !m.Deaf() {
			l.worker(l.logs.Warn(), m).Float64("waiting_ms", api.Milliseconds(fact.Waiting)).Msg("worker does not read its channel; it will get the newest values when it does")
		}
	case handle.Suspended:
		if fact.Stopped {
			l.crew.Stalled(m, slots.BySignal, "stopped by a signal")
		} else {
			l.crew.Resumed(m, slots.BySignal)
		}
	case handle.Exited:
		l.exited(m, fact)
	default:
		panic("master: a fact that no one acts on")
	}
}

func (l *loop) frameArrived(m *crew.Worker, f handle.Frame) {
	if f.Taken != nil {
		defer close(f.Taken)
	}
	if !m.Current(f.Conn) {
		ipc.Discard(f.Frame) // the worker has another channel by now, on which it has said anew what still holds
		return
	}
	l.frame(m, f.Frame)
}

func (l *loop) channelEnded(m *crew.Worker, f handle.ChannelEnded) {
	if !m.Current(f.Conn) {
		return // the worker has another channel by now
	}
	if m.Hearing() {
		m.StopHearing()
		return
	}
	m.DropChannel("the worker closed its channel")
	if m.Deaf() {
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
	l.step(m.App, pool.Recycle{ID: m.ID, Reason: "broken channel: " + f.Err.Error()})
}

// channelStillGone asks whether a worker that has closed its channel has ended too.
type channelStillGone struct{ m *crew.Worker }

func (f channelStillGone) apply(l *loop) {
	if f.m.App.Members[f.m.ID] != f.m || f.m.Left {
		return // gone; or on its way, in the time that its drain has
	}
	l.worker(l.logs.Warn(), f.m).Msg("worker closed its channel and runs on; replacing it")
	l.step(f.m.App, pool.Recycle{ID: f.m.ID, Reason: "closed its channel"})
}

func (l *loop) exited(m *crew.Worker, f handle.Exited) {
	a := m.App
	if m.Exited {
		return // it was let go of between the signs of its end, and taken back
	}
	if f.Left && !m.Left && !m.Drains {
		l.bye(m, ipc.Bye{Reason: crew.LeftUnheard})
	}
	m.Exited = true
	delete(a.Members, m.ID)
	l.touchedWorker(m)
	// Last, when the record has the end: a record that still has the worker would miss its files.
	defer l.estate.Remove(succession.WorkerName(a.Key, m.ID))
	a.Tally(m)
	m.DropChannel("the worker ended")
	a.LastExit = crew.LastExit{ID: m.ID, Words: f.Exit.LastLine, Lines: f.Exit.LastLines}
	l.logDropped(m, true)
	l.step(a, pool.Exited{ID: m.ID, Code: f.Exit.Code, Signal: int(f.Exit.Signal), SignalName: unix.SignalName(f.Exit.Signal)})
}
