package supervisor

import (
	"errors"
	"os"
	"slices"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// carryOut does what an app's core has ordered. None of it waits; what can fail
// later comes back as a fact.
func (l *loop) carryOut(a *app, effect pool.Effect) {
	switch e := effect.(type) {
	case pool.Spawn:
		l.spawn(a, e)
	case pool.Drain:
		l.drain(a.members[e.ID], e)
	case pool.Signal:
		l.signal(a.members[e.ID], e)
	case pool.OpenSlot:
		// Not now: spawn opens it, where a failure has somewhere to go.
	case pool.Steer:
		// With the last of what comes together, or before somebody or some sockets go.
		a.steered, a.steerDue = e.Slots, true
	case pool.RetireSlot:
		l.retire(a, e.Slot)
	case pool.Resolve:
		a.forget(a.pool.Status(), e.Generation)
		a.generations[e.Generation] = newGeneration(a.config)
	case pool.Record:
		l.record(a, e)
	case pool.Done:
		l.appEnded(a, e.Code, e.Reason)
	default:
		panic("supervisor: effect without a hand to carry it out")
	}
}

func (l *loop) spawn(a *app, e pool.Spawn) {
	m := &member{app: a, id: e.ID, slot: e.Slot, generation: e.Generation}
	g := a.generations[e.Generation]
	before := a.sockets.Slots()
	err := a.sockets.OpenSlot(e.Slot)
	if a.sockets.Slots() > before {
		a.steerDue = true // it was ordered before the slot was there to be admitted
	}
	l.s.wg.Go(func() {
		if err != nil {
			l.s.post(spawnFailed{app: a, id: e.ID, err: proc.AsLimit(err)})
			return
		}
		l.s.launch(m, g)
	})
}

// steer lets only the slots get new connections that the core has ordered.
func (l *loop) steer(a *app) {
	a.steerDue = false
	if slices.Equal(a.steered, a.admitted) && a.sockets.Slots() == a.slots {
		return
	}
	a.admitted, a.slots = a.steered, a.sockets.Slots()
	if err := a.sockets.SteerTo(a.admitted); err != nil {
		l.logs.Warn().Str("app", a.name).Ints("slots", a.admitted).Err(err).Msg("cannot steer; the kernel goes on to spread connections over all slots")
	}
}

// drain asks a native worker over its channel. One whose channel has ended can
// only be asked by a signal.
func (l *loop) drain(m *member, e pool.Drain) {
	if m.app.steerDue {
		l.steer(m.app)
	}
	if m.outbox != nil {
		err := m.outbox.Send(ipc.Drain{Reason: e.Reason, Handover: e.Handover, Linger: e.Linger, Delay: e.Delay, Timeout: e.Timeout})
		if err == nil {
			return
		}
		l.worker(l.logs.Warn(), m).Err(err).Msg("cannot tell worker to drain; sending SIGTERM")
	}
	l.kill(m, m.proc.Terminate)
}

func (l *loop) signal(m *member, e pool.Signal) {
	if e.Kill {
		l.kill(m, m.proc.Kill)
		return
	}
	l.kill(m, m.proc.Terminate)
}

func (l *loop) kill(m *member, send func() error) {
	if err := send(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.worker(l.logs.Error(), m).Err(err).Msg("cannot signal worker")
	}
}

// retire closes the last slot's sockets. Its worker has emptied their queues while
// the kernel steered new connections elsewhere; what is left there would be reset,
// and is said.
func (l *loop) retire(a *app, slot int) {
	if a.steerDue {
		l.steer(a)
	}
	if a.sockets.shared() {
		return // The other app still has workers on it; its end closes what is left over.
	}
	if n, err := a.sockets.Queue(slot); err == nil && n > 0 {
		l.logs.Warn().Str("app", a.name).Int("slot", slot).Int("connections", n).Msg("slot closed with connections waiting; they are reset")
	}
	if err := a.sockets.CloseSlot(slot); err != nil {
		l.logs.Error().Str("app", a.name).Int("slot", slot).Err(err).Msg("cannot close slot")
	}
}
