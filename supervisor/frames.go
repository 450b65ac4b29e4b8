package supervisor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/pool"
)

const (
	// maxWaitingCalls bounds the calls of the master that one worker has not answered.
	maxWaitingCalls = 1024
	// maxKeys bounds the cached values that workers may add.
	maxKeys = 10_000
	// maxCallTime bounds how long a worker may give the master for an answer.
	maxCallTime = 10 * time.Minute
	// maxRunningCalls bounds the calls of one worker that are being answered at once.
	maxRunningCalls = 64
)

// frame acts on one frame of a worker. What a worker may not send, or not now,
// ends its channel as a malformed frame does.
func (l *loop) frame(m *member, f ipc.Frame) {
	if m.app.members[m.id] != m || m.outbox == nil {
		// It came while the channel was being ended.
		ipc.Discard(f)
		return
	}
	switch f := f.(type) {
	case ipc.Hello:
		l.hello(m, f)
	case ipc.Ready:
		l.memberReady(m)
	case ipc.Set:
		l.publish(m, f)
	case ipc.Delete:
		l.reply(m, f.ID, l.delete(f.Key))
	case ipc.Message:
		l.dispatch.message(m, f)
	case ipc.Call:
		l.call(m, f)
	case ipc.Reply:
		m.replied(f)
	case ipc.Bye:
		l.bye(m, f)
	default:
		ipc.Discard(f)
		l.breakChannel(m, fmt.Sprintf("a worker does not send %T", f))
	}
}

func (l *loop) breakChannel(m *member, why string) {
	l.worker(l.logs.Error(), m).Str("reason", why).Msg("worker broke the channel's rules; replacing it")
	m.dropChannel(why)
	l.step(m.app, pool.Recycle{ID: m.id, Reason: "broken channel: " + why})
}

func (l *loop) hello(m *member, f ipc.Hello) {
	switch {
	case m.greeting:
		l.breakChannel(m, "a second hello")
	case f.Protocol < 1:
		l.breakChannel(m, fmt.Sprintf("protocol version %d", f.Protocol))
	}
	m.greeting = true
}

// welcome tells a new worker who it is. The snapshot and the slot follow, at once
// or when the sources have had their first chance. Nothing waits for the worker's
// own hello: it finds everything on its channel when it is there.
func (l *loop) welcome(m *member) {
	l.send(m, ipc.Hello{
		Protocol: ipc.Protocol, PID: os.Getpid(), Library: "tine",
		App: m.app.name, Worker: uint64(m.id), Generation: uint64(m.generation),
	})
	if !l.snapshot {
		l.wantSnapshot = append(l.wantSnapshot, m)
		return
	}
	l.introduce(m)
}

// introduce gives a worker the snapshot and then its slot: in this order, so that
// a worker cannot be ready with values missing. From here on changes go to it.
func (l *loop) introduce(m *member) {
	if m.app.members[m.id] != m || m.outbox == nil {
		return
	}
	epoch, sets := l.store.Snapshot()
	frames := make([]ipc.Frame, 0, len(sets)+2)
	frames = append(frames, ipc.Snapshot{Epoch: epoch, Count: len(sets)})
	for _, s := range sets {
		frames = append(frames, s)
	}
	listeners, files, err := m.app.sockets.Share(m.slot)
	if err != nil {
		l.breakChannel(m, nameLimit(err).Error())
		return
	}
	frames = append(frames, ipc.Assign{
		Slot: m.slot, Listeners: listeners, Files: files,
		DrainDelay: m.app.config.DrainDelay, DrainTimeout: m.app.config.DrainTimeout,
	})
	m.subscribed = true
	l.send(m, frames...)
}

func (l *loop) memberReady(m *member) {
	if !m.subscribed || !m.greeting {
		l.breakChannel(m, "ready before its hello or before the snapshot was sent")
		return
	}
	if m.ready {
		return
	}
	m.ready = true
	l.step(m.app, pool.Ready{ID: m.id})
	l.greet(m.app)
}

// greet sends "Worker PID" once to each worker when all of an app are ready.
func (l *loop) greet(a *app) {
	st := a.pool.Status()
	if st.Ready < st.Wanted {
		return
	}
	a.everReady = true
	for _, m := range a.members {
		if m.ready && !m.greeted && m.outbox != nil {
			m.greeted = true
			text, err := cache.Encode("Worker " + strconv.Itoa(m.proc.PID()))
			if err != nil {
				continue
			}
			l.send(m, ipc.Message{Topic: "greeting", Payload: text})
		}
	}
	if l.wasReady {
		return
	}
	for _, a := range l.apps {
		if !a.everReady {
			return
		}
	}
	l.wasReady = true
	close(l.s.ready)
	l.logs.Info().Float64("took_ms", ms(time.Since(l.startedAt))).Msg("all workers are ready")
}

func (l *loop) bye(m *member, f ipc.Bye) {
	m.left = true
	if f.Cut > 0 {
		l.worker(l.logs.Warn(), m).Int("requests", f.Cut).Str("reason", f.Reason).Msg("requests cut off at the end of the drain")
	}
	l.step(m.app, pool.Leaving{ID: m.id, Reason: f.Reason})
}

// publish sets a value for a worker. Each key is kept until somebody deletes it, so
// that their number is bounded here, where a program gone wrong could make them up.
func (l *loop) publish(m *member, f ipc.Set) {
	if _, known := l.store.Get(f.Key); !known && l.store.Len() >= maxKeys {
		ipc.Discard(f)
		l.send(m, ipc.Reply{ID: f.ID, Error: fmt.Sprintf("there are %d cached values already, no more can be published", maxKeys)})
		return
	}
	l.reply(m, f.ID, l.set(f.Key, f.Payload, fmt.Sprintf("worker %d", m.id)))
}

// reply answers a publish with the epoch that it was given.
func (l *loop) reply(m *member, id, epoch uint64) {
	text, err := cache.Encode(epoch)
	if err != nil {
		l.send(m, ipc.Reply{ID: id, Error: err.Error()})
		return
	}
	l.send(m, ipc.Reply{ID: id, Payload: text})
}

// call answers a worker's call in a goroutine of its own.
func (l *loop) call(m *member, f ipc.Call) {
	handle, ok := l.s.calls[f.Method]
	switch {
	case !ok:
		ipc.Discard(f)
		l.send(m, ipc.Reply{ID: f.ID, Error: fmt.Sprintf("the master knows no method %q", f.Method)})
		return
	case m.running >= maxRunningCalls:
		ipc.Discard(f)
		l.send(m, ipc.Reply{ID: f.ID, Error: fmt.Sprintf("%d calls of this worker are running already", m.running)})
		return
	}
	m.running++
	from := Caller{App: m.app.name, Slot: m.slot, Worker: uint64(m.id)}
	l.s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, min(max(f.Timeout, 0), maxCallTime))
		defer cancel()
		r := answer(ctx, handle, from, f)
		if !l.s.post(callAnswered{m, r}) {
			ipc.Discard(r)
		}
	})
}

func answer(ctx context.Context, handle CallHandler, from Caller, f ipc.Call) ipc.Reply {
	defer ipc.Discard(f)
	in, err := f.Payload.Bytes()
	if err != nil {
		return ipc.Reply{ID: f.ID, Error: err.Error()}
	}
	out, err := handle(ctx, from, in)
	if err != nil {
		return ipc.Reply{ID: f.ID, Error: err.Error()}
	}
	payload, err := cache.Encode(out)
	if err != nil {
		return ipc.Reply{ID: f.ID, Error: err.Error()}
	}
	return ipc.Reply{ID: f.ID, Payload: payload}
}

// callAnswered carries a handler's answer back to the loop, which alone may use
// the worker's outbox.
type callAnswered struct {
	m     *member
	reply ipc.Reply
}

func (c callAnswered) apply(l *loop) {
	c.m.running--
	l.send(c.m, c.reply)
}
