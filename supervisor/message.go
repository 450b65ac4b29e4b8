package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
	"golang.org/x/sys/unix"
)

// message is anything that reaches the loop from another goroutine: a fact about
// a worker, a result of a source, or somebody's command. apply runs in the loop
// and must not wait for anything.
type message interface{ apply(l *loop) }

// Facts about one worker. They arrive in the order spawned (or spawnFailed),
// any number of frameArrived, channelEnded, exited.
type (
	spawned struct{ m *member }

	spawnFailed struct {
		app *app
		id  pool.WorkerID
		err error
	}

	frameArrived struct {
		m     *member
		conn  *ipc.Conn
		frame ipc.Frame
		taken chan<- struct{} // closed when the loop has acted on it; nil: nobody waits for that
	}

	// channelEnded: err is nil at a clean end of file.
	channelEnded struct {
		m    *member
		conn *ipc.Conn
		err  error
	}

	// channelStillGone comes a moment after a clean end of file and asks whether
	// the worker ended too, as it nearly always does.
	channelStillGone struct{ m *member }

	channelStuck struct {
		m       *member
		waiting time.Duration
	}

	exited struct {
		m    *member
		exit proc.Exit
		left bool // it told so on its lifeline: see ipc.Lifeline.Left
	}
)

// Commands, from the methods of Supervisor and from signals.
type (
	roll  struct{ app, reason string }
	scale struct {
		app string
		to  int
		by  int // used when not 0
	}
	stopOrder struct {
		now    bool
		own    bool // the master's own, not a person's
		reason string
	}
	applyConfig struct{ config *config.Config }
	applyFailed struct{ err error }
	// appsOpened: what a new config adds is ready to be started; nothing has
	// changed yet.
	appsOpened struct {
		plan *plan
		err  error
	}

	setValue struct {
		key, source string
		payload     *ipc.Payload
		answer      chan<- valueSet
	}
	deleteValue struct {
		key    string
		answer chan<- uint64
	}
	broadcast struct {
		topic   string
		payload *ipc.Payload
	}
	callWorker struct {
		app     string
		worker  uint64
		method  string
		timeout time.Duration
		payload *ipc.Payload
		answer  chan<- ipc.Reply
		missing chan<- error // with room for one: there is no such worker
	}
	cancelCall struct {
		worker uint64
		answer chan<- ipc.Reply // which call it is
	}
	getStatus struct{ answer chan<- Status }
)

func (f spawned) apply(l *loop) {
	l.spawning--
	if f.m.app.ended() {
		// The core has said its last word: nobody else would end this process.
		f.m.proc.Kill()
		f.m.dropChannel("the app has ended")
		return
	}
	f.m.app.members[f.m.id] = f.m
	l.touchedWorker(f.m)
	if l.kept != nil {
		l.kept.room.changed()
	}
	l.welcome(f.m)
	l.step(f.m.app, pool.Spawned{ID: f.m.id, PID: f.m.proc.PID()})
}

func (f spawnFailed) apply(l *loop) {
	l.spawning--
	l.step(f.app, pool.SpawnFailed{ID: f.id, Err: f.err.Error()})
}

func (f frameArrived) apply(l *loop) {
	if f.taken != nil {
		defer close(f.taken)
	}
	if f.conn != f.m.conn {
		ipc.Discard(f.frame) // it has another channel by now, on which it has said anew what still holds
		return
	}
	l.frame(f.m, f.frame)
}

func (f channelEnded) apply(l *loop) {
	if f.conn != f.m.conn {
		return // it has another by now
	}
	if f.m.handing {
		f.m.handing = false
		return
	}
	f.m.dropChannel("the worker closed its channel")
	if f.m.deaf() {
		return
	}
	if f.err == nil {
		time.AfterFunc(time.Second, func() { l.s.post(channelStillGone{f.m}) })
		return
	}
	said := "worker broke the channel's rules; replacing it"
	if lost := (*ipc.LostFilesError)(nil); errors.As(f.err, &lost) {
		said = "channel to worker is unusable by a limit of the master; replacing the worker"
	}
	l.worker(l.logs.Error(), f.m).Err(f.err).Msg(said)
	l.step(f.m.app, pool.Recycle{ID: f.m.id, Reason: "broken channel: " + f.err.Error()})
}

func (f channelStillGone) apply(l *loop) {
	if f.m.app.members[f.m.id] != f.m || f.m.left {
		return // gone; or on its way, in the time that its drain has
	}
	l.worker(l.logs.Warn(), f.m).Msg("worker closed its channel and runs on; replacing it")
	l.step(f.m.app, pool.Recycle{ID: f.m.id, Reason: "closed its channel"})
}

func (f channelStuck) apply(l *loop) {
	if f.m.app.members[f.m.id] == f.m && !f.m.deaf() {
		l.worker(l.logs.Warn(), f.m).Float64("waiting_ms", ms(f.waiting)).Msg("worker does not read its channel; it will get the newest values when it does")
	}
}

func (f exited) apply(l *loop) {
	a := f.m.app
	if f.m.ended {
		return // it was let go of between the signs of its end, and taken back
	}
	if f.left && !f.m.left && !f.m.drains {
		l.bye(f.m, ipc.Bye{Reason: leftUnheard})
	}
	f.m.ended = true
	delete(a.members, f.m.id)
	l.touchedWorker(f.m)
	// Only then, when the record has its end: the files of a worker that is in it would be missed.
	defer l.unkeep(succession.WorkerName(a.key, f.m.id))
	a.tally(f.m)
	f.m.dropChannel("the worker ended")
	a.lastExit = lastExit{id: f.m.id, words: f.exit.LastLine, lines: f.exit.LastLines}
	l.sayDropped(f.m)
	l.step(a, pool.Exited{ID: f.m.id, Code: f.exit.Code, Signal: int(f.exit.Signal), SignalName: unix.SignalName(f.exit.Signal)})
}

func (c roll) apply(l *loop) {
	l.each(c.app, func(a *app) {
		if a.run.CanRoll() {
			l.step(a, pool.Roll{Reason: c.reason})
		}
	})
}

func (c scale) apply(l *loop) {
	l.each(c.app, func(a *app) {
		n := c.to
		if c.by != 0 {
			// One fewer than one is none, which is a stop: too much for a signal
			// that is so easily sent once too often.
			n = max(a.pool.Status().Wanted+c.by, 1)
		}
		l.step(a, pool.Scale{N: n})
	})
}

func (c stopOrder) apply(l *loop) { l.decide(apps.Stop{Now: c.now, Own: c.own, Reason: c.reason}) }

func (c applyConfig) apply(l *loop) { l.applyConfig(c.config) }

func (c appsOpened) apply(l *loop) { l.opened(c.plan, c.err) }

func (c applyFailed) apply(l *loop) {
	l.event(nil, zerolog.ErrorLevel, control.Event{Kind: control.EventConfigRefused, Reason: c.err.Error(), Message: "configuration not applied"})
	l.logs.Error().Msgf("configuration not applied, everything runs on as it was: %v", c.err)
}

func (c setValue) apply(l *loop) {
	epoch, err := l.set(c.key, c.payload, c.source)
	c.answer <- valueSet{epoch, err}
}

// valueSet is what came of setting a value.
type valueSet struct {
	epoch uint64
	err   error
}

func (c deleteValue) apply(l *loop) { c.answer <- l.delete(c.key) }

func (c broadcast) apply(l *loop) {
	for m := range l.members() {
		l.note(m, ipc.Message{Topic: c.topic, Payload: c.payload.Retain()})
	}
	c.payload.Release()
}

func (c callWorker) apply(l *loop) {
	a := l.find(c.app)
	if a == nil {
		c.payload.Release()
		c.missing <- noSuchWorker(fmt.Sprintf("no app %q", c.app))
		return
	}
	m := a.members[pool.WorkerID(c.worker)]
	if m == nil || !m.subscribed {
		c.payload.Release()
		c.missing <- noSuchWorker(fmt.Sprintf("no worker %d that can be called", c.worker))
		return
	}
	m.call(c.method, c.timeout, c.payload, c.answer)
}

func (c cancelCall) apply(l *loop) {
	for _, a := range l.apps { // find passes over those that are stopping
		if m := a.members[pool.WorkerID(c.worker)]; m != nil {
			m.cancel(c.answer)
		}
	}
}

func (c getStatus) apply(l *loop) { c.answer <- l.status() }

// signalMessage is what a signal of the master means. ok is false for one that
// means nothing to it.
func signalMessage(sig syscall.Signal) (m message, ok bool) {
	switch sig {
	case syscall.SIGUSR2:
		return roll{reason: "SIGUSR2"}, true
	case syscall.SIGTTIN:
		return scale{by: 1}, true
	case syscall.SIGTTOU:
		return scale{by: -1}, true
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		return stopOrder{reason: sig.String()}, true
	}
	return nil, false
}
