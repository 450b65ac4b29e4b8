package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// placeAgain is the pause before the next attempt to share sockets for which this process had no descriptor.
const placeAgain = 200 * time.Millisecond

// frame acts on one frame of a worker. A frame that a worker may not send, or not now, ends its channel as a malformed one does.
func (l *loop) frame(m *crew.Worker, f ipc.Frame) {
	if m.App.Members[m.ID] != m || !m.Heard() {
		// The frame was on its way when the channel was ended.
		ipc.Discard(f)
		return
	}
	if _, hello := f.(ipc.Hello); !hello && !m.Greeting {
		ipc.Discard(f)
		l.breakChannel(m, fmt.Sprintf("%T before its hello", f))
		return
	}
	switch f := f.(type) {
	case ipc.Hello:
		l.hello(m, f)
	case ipc.Standby:
		if !m.Subscribed { // the worker would be given its slot now, and again with the snapshot
			l.breakChannel(m, "standing by before the snapshot was sent")
		} else if m.Slot < 0 {
			l.step(m.App, pool.Parked{ID: m.ID})
		} // else the worker asked for its listeners before its slot had reached it
	case ipc.Wake:
		m.App.Sockets.Wake()
	case ipc.Ready:
		l.memberReady(m)
	case ipc.Set:
		l.publish(m, f)
	case ipc.Delete:
		l.replyEpoch(m, f.ID, l.values.Delete(f.Key))
	case ipc.Message:
		l.handlers.Message(m.Caller(), f)
	case ipc.Call:
		l.call(m, f)
	case ipc.Reply:
		m.Replied(f)
	case ipc.Bye:
		l.bye(m, f)
	default:
		ipc.Discard(f)
		l.breakChannel(m, fmt.Sprintf("a worker does not send %T", f))
	}
}

func (l *loop) breakChannel(m *crew.Worker, why string) {
	l.worker(l.logs.Error(), m).Str("reason", why).Msg("worker broke the channel's rules; replacing it")
	m.DropChannel(why)
	l.step(m.App, pool.Recycle{ID: m.ID, Reason: "broken channel: " + why})
}

func (l *loop) hello(m *crew.Worker, f ipc.Hello) {
	switch {
	case m.Greeting:
		l.breakChannel(m, "a second hello")
	case f.Protocol < 1:
		l.breakChannel(m, fmt.Sprintf("protocol version %d", f.Protocol))
	}
	m.Greeting = true
	if m.Subscribed && m.Slot >= 0 && !m.Placed {
		l.place(m)
	}
	if m.Adopted && f.State != "" && m.Open() {
		l.crew.CaughtUp(m, f)
	}
}

// welcome sends a new worker its name and ID. The snapshot and the slot follow, at once or when the sources have had their first
// chance. The loop does not wait for the worker's own hello: the worker finds everything on its channel when it opens that.
func (l *loop) welcome(m *crew.Worker) {
	l.send(m, ipc.Hello{
		Protocol: ipc.Protocol, PID: os.Getpid(), Library: "tine",
		App: m.App.Name, Worker: uint64(m.ID), Generation: uint64(m.Generation),
	})
	if !l.values.Ready() {
		l.wantSnapshot = append(l.wantSnapshot, m)
		return
	}
	l.introduce(m)
}

// introduce sends a worker the snapshot and then its slot, if it has one: in this order, so that a worker cannot be ready with
// values missing. From here on changes go to the worker.
func (l *loop) introduce(m *crew.Worker) {
	if m.App.Members[m.ID] != m || !m.Open() || m.App.Ended() {
		return
	}
	if err := m.SendValues(l.values.All()); err != nil {
		l.unsent(m, err)
		return
	}
	m.Subscribed = true
	if m.Slot >= 0 && !m.Placed {
		l.place(m)
	}
}

// place sends a worker its slot, with the sockets and the scoreboard, and reports whether that is on its way. Where the app has no
// address, the slot is sent after the worker's hello: a program that never says hello needs no scoreboard.
func (l *loop) place(m *crew.Worker) bool {
	sockets := m.App.Sockets
	l.touchedWorker(m)
	if !m.Greeting && len(sockets.Addresses()) == 0 {
		return false
	}
	assign := ipc.Assign{Slot: m.Slot, DrainDelay: m.App.Config.DrainDelay, DrainTimeout: m.App.Config.DrainTimeout}
	l.crew.Mend(sockets, m.Slot, m) // a worker before it may have shut down what this one is about to get
	var err error
	assign.Listeners, assign.Files, err = sockets.Share(m.Slot)
	if err == nil {
		err = sockets.NeedBoard()
	}
	if err == nil {
		if seat := sockets.Sit(m.Slot, uint64(m.ID)); seat != nil {
			m.Seat, assign.Seat, assign.Board = seat, seat.Number, true
			if assign.Hot, assign.Rows, err = sockets.Board().Share(); err != nil {
				sockets.Vacate(seat)
				m.Seat, assign.Board = nil, false
				ipc.Discard(assign)
			}
		}
	}
	switch {
	case outOfFiles(err) || errors.Is(err, listen.ErrDeaf):
		// Not this worker's fault. Its ready timeout bounds the attempts.
		if !m.Delayed {
			m.Delayed = true
			l.worker(l.logs.Error(), m).Err(proc.AsLimit(err)).Msg("cannot give worker its sockets; trying again")
		}
		l.later(placeAgain, placeNow{m})
		return false
	case err != nil:
		l.breakChannel(m, err.Error())
		return false
	}
	m.Placed = l.send(m, assign)
	return m.Placed
}

// placeNow has the loop try place again, after an attempt for which there were no descriptors.
type placeNow struct{ m *crew.Worker }

func (p placeNow) apply(l *loop) {
	if m := p.m; m.App.Members[m.ID] == m && m.Open() && !m.App.Ended() {
		l.place(m)
	}
}

// outOfFiles reports whether err is a shortage that the whole process has, of descriptors or memory, and that may be over a moment
// later.
func outOfFiles(err error) bool {
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, limit) {
			return true
		}
	}
	return false
}

func (l *loop) memberReady(m *crew.Worker) {
	if !m.Greeting || !m.Subscribed && !m.Adopted {
		l.breakChannel(m, "ready before its hello or before the snapshot was sent")
		return
	}
	if m.Ready {
		return
	}
	m.BecameReady()
	l.touchedWorker(m)
	l.step(m.App, pool.Ready{ID: m.ID})
}

// greet sends "Worker PID" once to each worker when all workers of an app are ready. The last that the others waited for may also be
// one that has exited or is not wanted any more.
func (l *loop) greet(a *crew.App) {
	if len(a.Ungreeted) == 0 || a.Ended() || !a.Pool.Brief().AllReady {
		return
	}
	for id := range a.Ungreeted {
		m := a.Members[id]
		if m == nil {
			delete(a.Ungreeted, id)
			continue
		}
		if m.Open() {
			delete(a.Ungreeted, id)
			m.Greeted = true
			l.touchedWorker(m)
			text, err := cache.Encode("Worker " + strconv.Itoa(m.PID()))
			if err != nil {
				continue
			}
			l.note(m, ipc.Message{Topic: "greeting", Payload: text})
		}
	}
}

func (l *loop) bye(m *crew.Worker, f ipc.Bye) {
	m.Left = true
	if !m.Drains && m.Slot >= 0 {
		m.App.History.Slot(m.Slot).Unasked = true
	}
	if f.Cut > 0 {
		l.worker(l.logs.Warn(), m).Int("requests", f.Cut).Str("reason", f.Reason).Msg("requests cut off at the end of the drain")
	}
	m.Drains = true
	l.touchedWorker(m)
	l.step(m.App, pool.Leaving{ID: m.ID, Reason: f.Reason})
}

// publish sets a value for a worker.
func (l *loop) publish(m *crew.Worker, f ipc.Set) {
	epoch, err := l.values.Publish(f.Key, f.Payload, uint64(m.ID))
	if err != nil {
		l.reply(m, ipc.Reply{ID: f.ID, Error: err.Error()})
		return
	}
	l.replyEpoch(m, f.ID, epoch)
}

// replyEpoch answers a publish with the epoch that it was given.
func (l *loop) replyEpoch(m *crew.Worker, id, epoch uint64) {
	text, err := cache.Encode(epoch)
	if err != nil {
		l.reply(m, ipc.Reply{ID: id, Error: err.Error()})
		return
	}
	l.reply(m, ipc.Reply{ID: id, Payload: text})
}

// reply answers what a worker asked. A worker that asks on and on and does not read would wait for answers that were dropped: its
// channel is ended, and it is replaced.
func (l *loop) reply(m *crew.Worker, r ipc.Reply) {
	if !m.Open() {
		ipc.Discard(r)
		return
	}
	if err := m.Send(r); errors.Is(err, ipc.ErrFull) { // of the room for answers alone
		l.breakChannel(m, "it asks and does not read the answers: "+err.Error())
	}
}

// call has the program's function answer a worker's call.
func (l *loop) call(m *crew.Worker, f ipc.Call) {
	err := l.handlers.Call(&m.Calls, m.Caller(), f, func(r ipc.Reply) bool { return l.s.post(callAnswered{m, r}) })
	if err != nil {
		l.reply(m, ipc.Reply{ID: f.ID, Error: err.Error()})
	}
}

// callAnswered carries a handler's answer back to the loop, which alone may use
// the worker's outbox.
type callAnswered struct {
	m     *crew.Worker
	reply ipc.Reply
}

func (c callAnswered) apply(l *loop) {
	c.m.Calls.Answered()
	l.reply(c.m, c.reply)
}
