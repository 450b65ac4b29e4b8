package master

import (
	"errors"
	"math/rand/v2"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// carryOut does what an app's core has ordered. None of it waits; what can fail
// later comes back as a fact.
func (l *loop) carryOut(a *crew.App, effect pool.Effect) {
	switch e := effect.(type) {
	case pool.Spawn:
		a.History.LastID = max(a.History.LastID, e.ID)
		a.History.Filled(e.Slot)
		l.spawn(a, e)
	case pool.Assign:
		a.History.Filled(e.Slot)
		l.assign(a, e)
	case pool.Dump:
		l.dump(a.Members[e.ID], e.Reason)
	case pool.Drain:
		l.drain(a.Members[e.ID], e)
	case pool.Signal:
		l.signal(a.Members[e.ID], e)
	case pool.OpenSlot:
		// Not now: spawn opens it, where a failure has somewhere to go.
	case pool.Steer:
		// With the last of what comes together, or before somebody or some sockets go.
		a.Steering.Order(e.Slots)
	case pool.RetireSlot:
		l.retire(a, e.Slot)
	case pool.Resolve:
		l.resolveGeneration(a, e)
	case pool.Record:
		if e.Kind == pool.KindRolloutDone {
			l.released(a, e.Generation)
		}
		l.record(a, e)
		if e.Kind == pool.KindRolloutBegin {
			l.report.LookSoon() // it may be over before the next look
		}
		noticed(a.Stepped, e)
	case pool.Done:
		a.Stepped.Done = &e
	default:
		panic("master: effect without a hand to carry it out")
	}
}

// noticed adds to what is told of a step what one of its records means for others.
func noticed(s *apps.Stepped, r pool.Record) {
	switch r.Kind {
	case pool.KindReady, pool.KindRolloutDone, pool.KindFinished, pool.KindRetired:
		s.Moved = true
	case pool.KindExited:
		s.Moved = true
		if r.Unasked() {
			s.Crashes = append(s.Crashes, apps.Crash{Worker: r.ID, PID: r.PID, Slot: r.Slot, Code: r.Code, Signal: r.Signal, Generation: r.Generation})
		}
	}
}

func (l *loop) spawn(a *crew.App, e pool.Spawn) {
	m := &crew.Worker{App: a, ID: e.ID, Slot: e.Slot, Generation: e.Generation, Jitter: 2*rand.Float64() - 1}
	g := a.Generations[e.Generation]
	err, ctx := l.openSlot(a, e.Slot), a.HooksCtx
	l.spawning++
	l.s.wg.Go(func() {
		if err != nil {
			l.s.post(spawnFailed{app: a, id: e.ID, err: proc.AsLimit(err)})
			return
		}
		l.s.launcher(l.s, ctx, m, g)
	})
}

// openSlot opens the sockets of a slot that gets its first worker. A standby has
// none.
func (l *loop) openSlot(a *crew.App, slot int) error {
	if slot < 0 {
		return nil
	}
	l.estate.KeepSlot(a.Sockets, slot)
	before := a.Sockets.Slots()
	err := a.Sockets.OpenSlot(slot)
	if a.Sockets.Slots() > before {
		a.Steering.Reconsider() // it was ordered before the slot was there to be admitted
	}
	return err
}

// assign gives a slot to a worker that stood by. One that cannot have it is
// replaced, as one that fails to start is.
func (l *loop) assign(a *crew.App, e pool.Assign) {
	m := a.Members[e.ID]
	if m == nil {
		return // its exit is on the way
	}
	m.Slot = e.Slot
	l.touchedWorker(m)
	m.Name(m.PID())
	if err := l.openSlot(a, e.Slot); err != nil {
		l.worker(l.logs.Error(), m).Err(proc.AsLimit(err)).Msg("cannot open the slot of a standby; replacing it")
		l.step(a, pool.Recycle{ID: m.ID, Reason: err.Error()})
		return
	}
	if !m.Open() {
		l.step(a, pool.Recycle{ID: m.ID, Reason: "its channel has ended"})
		return
	}
	if !l.place(m) && !m.Open() {
		return
	}
	if r, err := a.Generations[m.Generation].Resolve(); err == nil {
		// Beside the rest: the first requests need not wait for it.
		l.s.wg.Go(func() { l.bind(m, r.Bound(e.Slot)) })
	}
}

func (l *loop) bind(m *crew.Worker, cpus []int) {
	if err := m.Process().Bind(cpus); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.logs.Debug().Str("app", m.App.Name).Uint64("worker", uint64(m.ID)).Err(err).Msg("worker not bound to the CPU of its slot")
	}
}

// steer lets only the slots get new connections that the core has ordered. Of two apps
// on the same sockets the one that serves has the say: the other one's workers are
// still starting, and with it slots may be that nobody else has.
func (l *loop) steer(a *crew.App) {
	if l.state.Yields(a.Run) {
		return // it stays due
	}
	changed, err := a.Steering.Apply(a.Sockets)
	if changed {
		l.touched(a)
	}
	if err != nil {
		l.logs.Warn().Str("app", a.Name).Ints("slots", a.Steering.Admitted()).Err(err).Msg("cannot steer; the kernel goes on to spread connections over all slots")
	}
}

// steerInTime steers once for all that came together: at a start every worker's ready
// would change it. But a worker that floods the loop must not keep it from that.
func (l *loop) steerInTime() {
	if l.unsteered++; len(l.s.inbox) > 0 && l.unsteered <= inboxSize {
		return
	}
	l.steerAll()
	l.unsteered = 0
}

// steerAll carries out what was ordered and waits to be.
func (l *loop) steerAll() {
	for _, a := range l.apps {
		if a.Steering.Due() && !a.Ended() {
			l.steer(a)
		}
	}
}

// drain asks a native worker over its channel. One whose channel has ended can
// only be asked by a signal.
func (l *loop) drain(m *crew.Worker, e pool.Drain) {
	a, told := m.App, m.Drains && e.Again
	m.Drains = true
	l.touchedWorker(m)
	if a.Steering.Due() {
		l.steer(a)
	}
	switch held := a.Run.IsHeld(m.ID); {
	case told && (held || m.Open()): // else it got SIGTERM, and a second one would cut it short
		a.Stepped.Told = append(a.Stepped.Told, m.ID)
		l.tellDrain(m, e)
	case told:
	case a.Run.Holds(e) > 0:
		a.Stepped.Held = append(a.Stepped.Held, apps.Held{Drain: e, PID: m.PID(), Generation: m.Generation})
	default:
		l.tellDrain(m, e)
	}
}

func (l *loop) tellDrain(m *crew.Worker, e pool.Drain) {
	if m.Open() {
		err := m.Send(ipc.Drain{Reason: e.Reason, Handover: e.Handover, Linger: e.Linger, Delay: e.Delay, Timeout: e.Timeout})
		if err == nil {
			return
		}
		l.worker(l.logs.Warn(), m).Err(err).Msg("cannot tell worker to drain; sending SIGTERM")
	}
	l.kill(m, m.Process().Terminate)
}

func (l *loop) signal(m *crew.Worker, e pool.Signal) {
	if e.Kill {
		l.kill(m, m.Process().Kill)
		return
	}
	l.kill(m, m.Process().Terminate)
}

func (l *loop) kill(m *crew.Worker, send func() error) {
	if err := send(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.worker(l.logs.Error(), m).Err(err).Msg("cannot signal worker")
	}
}

// retire closes the last slot's sockets. Its worker has emptied their queues while
// the kernel steered new connections elsewhere; what is left there would be reset,
// and is said.
func (l *loop) retire(a *crew.App, slot int) {
	if a.Steering.Due() {
		l.steer(a)
	}
	if a.Sockets.Shared() {
		return // The other app still has workers on it; its end closes what is left over.
	}
	if n, err := a.Sockets.Queue(slot); err == nil && n > 0 {
		l.logs.Warn().Str("app", a.Name).Int("slot", slot).Int("connections", n).Msg("slot closed with connections waiting; they are reset")
	}
	l.estate.CloseSlot(a.Sockets, slot)
}
