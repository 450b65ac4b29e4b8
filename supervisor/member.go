package supervisor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// lastFrames bounds the wait, after a worker's exit, for frames that it sent
// before: its Bye should be known when its end is judged.
const lastFrames = 100 * time.Millisecond

// lastWords bounds the wait, after a worker's exit, for the end of its output, so
// that the log can say with the exit what it said last. The pipe is at its end in
// microseconds unless a stranger holds it; a replacement should not wait for that.
const lastWords = 5 * time.Millisecond

// leftUnheard is the reason of a worker that has left when no master was there to hear one.
const leftUnheard = "left while no master heard it"

// member is the master's view of one worker process. All fields belong to the
// loop once spawned has been posted; the goroutines below only post.
type member struct {
	app        *app
	id         pool.WorkerID
	slot       int // -1: a standby
	generation int

	adopted   bool             // from an earlier master
	stray     bool             // in no record of that master
	unreached error            // why it could not be
	placed    bool             // it has been given its slot
	unjudged  *succession.Exit // it has ended, and the next master in charge judges that
	handing   bool             // its channel is ended for another master: what it has said counts

	proc     *proc.Process
	spare    proc.Left     // while another master takes over: to have it back should that fail
	quit     chan struct{} // likewise: closed when proc acts and reads no more
	lifeline *ipc.Lifeline
	conn     *ipc.Conn
	outbox   *ipc.Outbox // nil when the channel has ended

	greeting   bool // it said hello
	subscribed bool // the snapshot is on its way, so that changes go to it too
	ready      bool // it said so
	greeted    bool // it got "Worker PID"
	left       bool // it said Bye: that its channel ends is in order
	ended      bool // that it has ended is known
	drains     bool // it was told to, or does so of its own accord

	seat   int              // of its slot: which row of the scoreboard is its own
	row    *ipc.Row         // that row; nil without a seat
	stalls map[witness]bool // who sees that it stands still
	over   bool             // it reached a limit: its replacement is queued
	jitter float64          // -1 to 1: its own share of the jitter of its limits

	stdout, stderr atomic.Pointer[logs.Prefix]

	// acked is the epoch up to which it has applied all changes. The one thing that
	// its reader writes: an ack decides nothing, and there is one for each change.
	acked atomic.Uint64

	delayed      bool      // it waits for its sockets, which this process has no descriptors for
	dropped      int       // messages to it that were dropped and not said yet
	droppedTopic string    // of the last of them
	saidAt       time.Time // when that was said last

	calls    map[uint64]chan<- ipc.Reply // the master's calls that it has not answered
	lastCall uint64
	running  int // its own calls that are being answered
}

// launch starts the process of a Spawn effect and posts what came of it. It runs
// in a goroutine of its own since an exec may wait for a disk.
func (s *Supervisor) launch(ctx context.Context, m *member, g *launch.Generation) {
	err := s.prepare(ctx, m, g)
	if err == nil {
		err = s.start(m, g)
	}
	if err != nil {
		s.post(spawnFailed{app: m.app, id: m.id, err: proc.AsLimit(err)})
		return
	}
	p, conn := m.proc, m.conn
	if err := s.keepWorker(m); err != nil {
		s.post(workerNotKept{m, err})
	}
	if !s.post(spawned{m}) {
		p.Kill()
		m.outbox.Close()
		m.lifeline.Close()
		return
	}
	s.follow(m, p, conn)
}

// workerNotKept is said by the loop.
type workerNotKept struct {
	m   *member
	err error
}

func (w workerNotKept) apply(l *loop) {
	l.keepFailed(succession.WorkerName(w.m.app.key, w.m.id), w.err)
}

// follow posts what the worker says, and how it ended. It ends also when p is left to
// another master; the lifeline lasts then.
func (s *Supervisor) follow(m *member, p *proc.Process, conn *ipc.Conn) {
	read := make(chan struct{})
	if conn == nil {
		close(read)
	} else {
		s.wg.Go(func() { defer close(read); s.read(m, conn, p.Exited()) })
	}
	exit, known := awaitEnd(p, read)
	if !known {
		return
	}
	if m.lifeline != nil {
		defer m.lifeline.Close()
	}
	s.post(exited{m: m, exit: exit, left: m.lifeline != nil && m.lifeline.Left()})
	select {
	case <-p.Exited():
		<-p.OutputDone()
	case <-p.Abandoned(): // it was certain, and not over
	}
}

// awaitEnd waits until it is certain that the worker runs no more, and how it ended.
// The channel of a worker that is killed ends before the system has taken the rest of
// it apart, and its replacement need not wait for that. It is not known if p is left to
// another master first.
func awaitEnd(p *proc.Process, read <-chan struct{}) (exit proc.Exit, known bool) {
	select {
	case <-read:
		if exit, killed := p.Killed(); killed {
			return exit, true
		}
	case <-p.Exited():
	case <-p.Abandoned():
	}
	select {
	case <-p.Exited():
	case <-p.Abandoned():
		return proc.Exit{}, false
	}
	if p.Exit().Signal != syscall.SIGKILL {
		// Who is killed sends nothing at the end; its replacement need not wait for it.
		within(read, lastFrames)
	}
	within(p.OutputDone(), lastWords)
	return p.Exit(), true
}

func within(done <-chan struct{}, d time.Duration) {
	select {
	case <-done:
	case <-time.After(d):
	}
}

func (s *Supervisor) start(m *member, g *launch.Generation) error {
	recipe, err := g.Startable(s.pins)
	if err != nil {
		return err
	}
	if text, harmless := recipe.Command.Drift(); text != "" && !g.Drifted.Load() {
		s.post(drift{m.app, g, text, harmless})
	}
	conn, child, err := ipc.Pair()
	if err != nil {
		return err
	}
	defer child.Close()
	lifeline, lifelineChild, err := ipc.NewLifeline()
	if err != nil {
		conn.Close()
		return err
	}
	defer lifelineChild.Close()
	// A slice of its own: the recipe is every worker's of the generation, and they start at the same time.
	recipe.Command.Env = slices.Concat(recipe.Command.Env, m.ownEnv())
	// The pumps may have a line before the PID that stands in front of it is known.
	known := make(chan struct{})
	var stdout, stderr *logs.Outlet
	m.proc, err = proc.Start(recipe.Command, proc.Options{
		CPUs:   recipe.Bound(m.slot),
		Files:  []*os.File{child, lifelineChild},
		Stdout: func(line []byte, more bool) { <-known; stdout.Line(line, more) },
		Stderr: func(line []byte, more bool) { <-known; stderr.Line(line, more) },
		// After the lines, so never before it is known.
		StdoutWritten: func(hurry bool) { stdout.Written(hurry) },
		StderrWritten: func(hurry bool) { stderr.Written(hurry) },
		Suspended:     s.suspended(m),
	})
	if err != nil {
		conn.Close()
		lifeline.Close()
		return err
	}
	m.name(m.proc.PID())
	stdout, stderr = s.logs.Outlet(&m.stdout), s.logs.Outlet(&m.stderr)
	close(known)
	m.conn, m.lifeline = conn, lifeline
	m.outbox = s.newOutbox(m)
	return nil
}

func (s *Supervisor) newOutbox(m *member) *ipc.Outbox {
	return ipc.NewOutbox(m.conn, ipc.OutboxOptions{
		OnStuck: func(waiting time.Duration) { s.post(channelStuck{m, waiting}) },
	})
}

// name says in whose name the lines of the worker's output are logged.
func (m *member) name(pid int) {
	m.stdout.Store(logs.NewPrefix(m.app.name, m.slot, uint64(m.id), pid, "stdout"))
	m.stderr.Store(logs.NewPrefix(m.app.name, m.slot, uint64(m.id), pid, "stderr"))
}

// dropChannel ends the channel from this side and fails the calls that wait.
func (m *member) dropChannel(why string) {
	if m.outbox == nil {
		return
	}
	m.outbox.Close()
	m.outbox, m.subscribed = nil, false
	for id, answer := range m.calls {
		answer <- ipc.Reply{ID: id, Error: why}
	}
	m.calls = nil
}

// call sends a Call and remembers who waits for its Reply. The answer channel has
// room for one, so that the loop never waits for a caller that left.
func (m *member) call(method string, timeout time.Duration, payload *ipc.Payload, answer chan<- ipc.Reply) {
	if len(m.calls) >= maxWaitingCalls {
		payload.Release()
		answer <- ipc.Reply{Error: fmt.Sprintf("%d calls wait for this worker's answer already", len(m.calls))}
		return
	}
	m.lastCall++
	if err := m.outbox.Send(ipc.Call{ID: m.lastCall, Method: method, Timeout: timeout, Payload: payload}); err != nil {
		answer <- ipc.Reply{Error: err.Error()}
		return
	}
	if m.calls == nil {
		m.calls = map[uint64]chan<- ipc.Reply{}
	}
	m.calls[m.lastCall] = answer
}

// cancel forgets a call whose caller has given up: what is never answered must not
// keep the worker from being called. The handler runs on and its answer is dropped.
func (m *member) cancel(answer chan<- ipc.Reply) {
	maps.DeleteFunc(m.calls, func(_ uint64, a chan<- ipc.Reply) bool { return a == answer })
}

func (m *member) replied(r ipc.Reply) {
	answer, ok := m.calls[r.ID]
	if !ok {
		// The caller's time was over; the answer is of no use to anyone.
		ipc.Discard(r)
		return
	}
	delete(m.calls, r.ID)
	answer <- r
}

// deaf says whether a worker is a program that knows nothing of its channel, and may
// leave it unread or close it.
func (m *member) deaf() bool { return m.app.config.OneShot && !m.greeting }
