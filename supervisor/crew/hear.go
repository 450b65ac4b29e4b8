package crew

import (
	"bytes"
	"errors"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/talk"
	"golang.org/x/sys/unix"
)

// stillGoneAfter is how long a worker may run on after it has closed its channel: nearly every one ends at the same time.
const stillGoneAfter = time.Second

// LeftUnheard is the reason of a worker that has left when no master was there to hear one.
const LeftUnheard = "left while no master heard it"

func (h Heard) Act(c *Crew) {
	m := h.Worker
	switch f := h.Fact.(type) {
	case handle.Frame:
		if f.Taken != nil {
			defer close(f.Taken)
		}
		if !m.Current(f.Conn) {
			ipc.Discard(f.Frame) // the worker has another channel by now, on which it has said anew what still holds
			return
		}
		c.frame(m, f.Frame)
	case handle.ChannelEnded:
		c.channelEnded(m, f)
	case handle.Stuck:
		if m.App.Members[m.ID] == m && !m.Deaf() {
			m.In(c.logs.Warn()).Float64("waiting_ms", api.Milliseconds(f.Waiting)).Msg("worker does not read its channel; it will get the newest values when it does")
		}
	case handle.Suspended:
		if f.Stopped {
			c.Stalled(m, slots.BySignal, "stopped by a signal")
		} else {
			c.Resumed(m, slots.BySignal)
		}
	case handle.Exited:
		c.Exited(m, f)
	default:
		panic("crew: a fact that is not acted on")
	}
}

// frame acts on one frame of a worker. A frame that a worker may not send, or not now, ends its channel as a malformed one does.
func (c *Crew) frame(m *Worker, f ipc.Frame) {
	if m.App.Members[m.ID] != m || !m.Heard() {
		ipc.Discard(f) // it was on its way when the channel was ended
		return
	}
	switch verdict, why := m.Talk.Hear(f, m.Adopted, m.Slot); verdict {
	case talk.Break:
		ipc.Discard(f)
		c.breakChannel(m, why)
		return
	case talk.PassOver:
		return
	}
	switch f := f.(type) {
	case ipc.Hello:
		c.hello(m, f)
	case ipc.Standby:
		c.Step(m.App, pool.Parked{ID: m.ID})
	case ipc.Wake:
		m.App.Sockets.Wake()
	case ipc.Ready:
		c.becomeReady(m)
	case ipc.Set:
		epoch, err := c.values.Publish(f.Key, f.Payload, uint64(m.ID))
		c.replyEpoch(m, f.ID, epoch, err)
	case ipc.Delete:
		epoch, err := c.values.Unset(f.Key)
		c.replyEpoch(m, f.ID, epoch, err)
	case ipc.Message:
		if !c.heardOutcomes(m, f) {
			c.handlers.Message(m.Caller(), f)
		}
	case ipc.Call:
		err := c.handlers.Call(&m.Calls, m.Caller(), f, func(r ipc.Reply) bool { return c.loop.Post(answered{m, r}) })
		if err != nil {
			c.reply(m, ipc.Reply{ID: f.ID, Error: err.Error()})
		}
	case ipc.Reply:
		m.Replied(f)
	case ipc.Inner:
		ipc.Discard(f) // a file with it is of no use
		c.innerServed(m, f.Address != "")
	case ipc.Bye:
		c.bye(m, f)
	default:
		panic("crew: a frame that is not acted on")
	}
}

// mostOutcomes bounds a message of outcomes, in bytes. A longer one is dropped.
const mostOutcomes = 1 << 20

// heardOutcomes takes in how requests of a gateway to members went. false: the message says something else.
func (c *Crew) heardOutcomes(m *Worker, f ipc.Message) bool {
	if f.Topic != members.OutcomesTopic || c.outcomes == nil || m.App.Config.Gateway == nil {
		return false
	}
	defer ipc.Discard(f)
	if f.Payload.Len() <= mostOutcomes {
		if b, err := f.Payload.Bytes(); err == nil {
			c.outcomes(m.App.Name, bytes.Clone(b))
		}
	}
	return true
}

// breakChannel ends the channel of a worker that breaks its rules, and has the worker replaced.
func (c *Crew) breakChannel(m *Worker, why string) {
	m.In(c.logs.Error()).Str("reason", why).Msg("worker broke the channel's rules; replacing it")
	m.DropChannel(why)
	c.Step(m.App, pool.Recycle{ID: m.ID, Reason: "broken channel: " + why})
}

func (c *Crew) hello(m *Worker, f ipc.Hello) {
	m.Talk.Step(talk.HelloHeard)
	c.placeFirst(m)
	if m.Adopted {
		c.giveGate(m) // the last master may have been about to
	}
	if m.Adopted && f.State != "" && m.Open() {
		c.caughtUp(m, f)
	}
}

func (c *Crew) becomeReady(m *Worker) {
	if m.Talk.WasReady() {
		return
	}
	m.BecameReady()
	c.estate.TouchedWorker(m)
	c.Step(m.App, pool.Ready{ID: m.ID})
}

func (c *Crew) bye(m *Worker, f ipc.Bye) {
	if !m.Talk.Drains() && m.Slot >= 0 {
		m.App.History.Slot(m.Slot).Unasked = true
	}
	if f.Cut > 0 {
		m.In(c.logs.Warn()).Int("requests", f.Cut).Str("reason", f.Reason).Msg("requests cut off at the end of the drain")
	}
	m.Talk.Step(talk.ByeHeard)
	c.estate.TouchedWorker(m)
	c.Step(m.App, pool.Leaving{ID: m.ID, Reason: f.Reason})
}

// replyEpoch answers what changes a value.
func (c *Crew) replyEpoch(m *Worker, id, epoch uint64, err error) {
	var text *ipc.Payload
	if err == nil {
		text, err = cache.Encode(epoch)
	}
	if err != nil {
		c.reply(m, ipc.Reply{ID: id, Error: err.Error()})
		return
	}
	c.reply(m, ipc.Reply{ID: id, Payload: text})
}

// reply answers what a worker asked. A worker that asks on and on and does not read would wait for answers that were dropped: its
// channel is ended, and it is replaced.
func (c *Crew) reply(m *Worker, r ipc.Reply) {
	if !m.Open() {
		ipc.Discard(r)
		return
	}
	if err := m.Send(r); errors.Is(err, ipc.ErrFull) { // of the room for answers alone
		c.breakChannel(m, "it asks and does not read the answers: "+err.Error())
	}
}

// answered is the answer of one of the program's own functions. The loop alone may use the worker's outbox.
type answered struct {
	m     *Worker
	reply ipc.Reply
}

func (a answered) Act(c *Crew) {
	a.m.Calls.Answered()
	c.reply(a.m, a.reply)
}

func (c *Crew) channelEnded(m *Worker, f handle.ChannelEnded) {
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
		c.loop.Later(stillGoneAfter, stillGone{m})
		return
	}
	text := "worker broke the channel's rules; replacing it"
	if lost := (*ipc.LostFilesError)(nil); errors.As(f.Err, &lost) {
		text = "channel to worker is unusable by a limit of the master; replacing the worker"
	}
	m.In(c.logs.Error()).Err(f.Err).Msg(text)
	c.Step(m.App, pool.Recycle{ID: m.ID, Reason: "broken channel: " + f.Err.Error()})
}

// stillGone has a worker replaced that has closed its channel, and has not ended since.
type stillGone struct{ m *Worker }

func (s stillGone) Act(c *Crew) {
	if s.m.App.Members[s.m.ID] != s.m || s.m.Talk.HasLeft() {
		return // it has ended; or it is about to, in the time that its drain has
	}
	s.m.In(c.logs.Warn()).Msg("worker closed its channel and runs on; replacing it")
	c.Step(s.m.App, pool.Recycle{ID: s.m.ID, Reason: "closed its channel"})
}

// Exited takes in that a worker has ended.
func (c *Crew) Exited(m *Worker, f handle.Exited) {
	a := m.App
	if m.Talk.Life == talk.Gone {
		return // it was let go of between the signs of its end, and taken back
	}
	if f.Left && !m.Talk.Drains() {
		c.bye(m, ipc.Bye{Reason: LeftUnheard})
	}
	m.Talk.Step(talk.ExitSeen)
	delete(a.Members, m.ID)
	c.estate.TouchedWorker(m)
	// Last, when the record has the end: a record that still has the worker would miss its files.
	defer c.estate.RemoveWorker(m)
	a.Tally(m)
	c.sweepAfter(m)
	m.DropChannel("the worker ended")
	a.LastExit = LastExit{ID: m.ID, Words: f.Exit.LastLine, Lines: f.Exit.LastLines}
	c.logDropped(m, true)
	c.Step(a, pool.Exited{ID: m.ID, Code: f.Exit.Code, Signal: int(f.Exit.Signal), SignalName: unix.SignalName(f.Exit.Signal)})
}
