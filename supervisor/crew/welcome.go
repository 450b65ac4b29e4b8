package crew

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/talk"
)

// placeAgain is the pause before the next attempt to share sockets for which this process had no descriptor.
const placeAgain = 200 * time.Millisecond

// Welcome sends a worker its name and ID, on a channel that is new. The snapshot and the slot follow, at once or when the values are
// ready. The worker's own hello is not waited for: the worker finds everything on its channel when it opens that.
func (c *Crew) Welcome(m *Worker) {
	m.books = nil
	c.send(m, ipc.Hello{
		Protocol: ipc.Protocol, PID: os.Getpid(), Library: "tine",
		App: m.App.Name, Worker: uint64(m.ID), Generation: uint64(m.Generation),
	})
	if c.values.Ready() {
		c.introduce(m)
	}
}

// IntroduceAll gives the values and a slot to the workers that were started before the values were ready.
func (c *Crew) IntroduceAll() {
	for _, a := range c.loop.Apps() {
		for _, m := range a.InOrder() {
			if !m.Talk.Subscribed() {
				c.introduce(m)
			}
		}
	}
}

// introduce sends a worker the snapshot and then its slot, if it has one: in this order, so that a worker cannot be ready with
// values missing. From here on changes go to the worker.
func (c *Crew) introduce(m *Worker) {
	if m.App.Members[m.ID] != m || !m.Open() || m.App.Ended() {
		return
	}
	if err := m.SendValues(c.values.All()); err != nil {
		c.unsent(m, err)
		return
	}
	m.Talk.Step(talk.ValuesSent)
	c.placeFirst(m)
}

// placeFirst gives a worker its slot that has the values and was not given one.
func (c *Crew) placeFirst(m *Worker) {
	if m.Talk.Subscribed() && m.Slot >= 0 && m.Talk.Place != talk.Placed {
		c.place(m)
	}
}

// place sends a worker its slot, with the sockets and the scoreboard, and reports whether that is on its way. Where the app has no
// address, the slot is sent after the worker's hello: a program that never says hello needs no scoreboard.
func (c *Crew) place(m *Worker) bool {
	sockets := m.App.Sockets
	c.estate.TouchedWorker(m)
	if !m.Talk.Hello() && len(sockets.Addresses()) == 0 {
		return false
	}
	assign := ipc.Assign{Slot: m.Slot, DrainDelay: m.App.Config.DrainDelay, DrainTimeout: m.App.Config.DrainTimeout}
	c.Mend(sockets, m.Slot, m) // a worker before it may have shut down what this one is about to get
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
		if m.Talk.Place != talk.Delayed {
			m.Talk.Step(talk.SlotDelayed)
			m.In(c.logs.Error()).Err(proc.AsLimit(err)).Msg("cannot give worker its sockets; trying again")
		}
		c.loop.Later(placeAgain, placeNow{m})
		return false
	case err != nil:
		c.breakChannel(m, err.Error())
		return false
	}
	c.giveGate(m) // first, so that a worker that is ready has said whether it serves it
	if !c.send(m, assign) {
		m.Talk.Step(talk.SlotLost)
		return false
	}
	m.Talk.Step(talk.SlotGiven)
	return true
}

// placeNow tries place again, after an attempt for which there were no descriptors.
type placeNow struct{ m *Worker }

func (p placeNow) Act(c *Crew) {
	if m := p.m; m.App.Members[m.ID] == m && m.Open() && !m.App.Ended() {
		c.place(m)
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

// Greet sends "Worker PID" once to each worker when all workers of an app are ready. The last that the others waited for may also be
// one that has exited or is not wanted any more.
func (c *Crew) Greet(a *App) {
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
			c.estate.TouchedWorker(m)
			text, err := cache.Encode("Worker " + strconv.Itoa(m.PID()))
			if err != nil {
				continue
			}
			c.note(m, ipc.Message{Topic: "greeting", Payload: text})
		}
	}
}
