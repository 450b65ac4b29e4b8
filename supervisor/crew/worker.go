package crew

import (
	"strconv"
	"sync/atomic"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/talk"
)

// Worker is a worker as the loop knows it: its process, and what the loop must remember of it. The loop owns it once Spawned has been
// posted.
type Worker struct {
	*handle.Worker // nil: its process is not started yet, or has ended before this master

	App        *App
	ID         pool.WorkerID
	Slot       int // -1: a standby
	Generation int

	Adopted  bool             // from an earlier master
	Unjudged *succession.Exit // it has ended, and the next master in charge judges that

	Talk    talk.State        // what was said so far
	Greeted bool              // it got "Worker PID"
	Inner   bool              // it has said that it serves its slot's inner socket
	books   map[string]uint64 // listen.Set.Book of the tickets that it has, by app

	Seat   *slots.Seat // its row of the scoreboard; nil: it has none
	Stall  slots.Stall // who sees that it stands still
	Over   bool        // it reached a limit: its replacement is queued
	Jitter float64     // -1 to 1: its own share of the jitter of its limits

	Stdout, Stderr atomic.Pointer[logs.Prefix]

	Calls handlers.Calls
}

// Name sets the name that the lines of the worker's output have in the log.
func (m *Worker) Name(pid int) {
	m.Stdout.Store(logs.NewPrefix(m.App.Name, m.Slot, uint64(m.ID), pid, "stdout"))
	m.Stderr.Store(logs.NewPrefix(m.App.Name, m.Slot, uint64(m.ID), pid, "stderr"))
}

// Caller is the worker as the program's own functions see it.
func (m *Worker) Caller() handlers.Caller {
	return handlers.Caller{App: m.App.Name, Slot: m.Slot, Worker: uint64(m.ID)}
}

// DropChannel ends the channel from this side and fails the calls that wait.
func (m *Worker) DropChannel(why string) {
	m.CloseChannel(why)
	m.Talk.Step(talk.ChannelEnded)
}

// Deaf reports whether a worker is a program that knows nothing of its channel, and may
// leave it unread or close it.
func (m *Worker) Deaf() bool { return m.App.Config.OneShot && !m.Talk.Hello() }

// BecameReady notes that the worker said so. It is greeted when all workers of its app are ready.
func (m *Worker) BecameReady() {
	m.Talk.Step(talk.ReadyHeard)
	if m.Greeted {
		return
	}
	if m.App.Ungreeted == nil {
		m.App.Ungreeted = map[pool.WorkerID]struct{}{}
	}
	m.App.Ungreeted[m.ID] = struct{}{}
}

// Most is the limit of this worker. Each worker has its own share of the jitter, so that workers which started together do not reach
// the limit together.
func (m *Worker) Most(limit int) uint64 {
	return uint64(max(float64(limit)*(1+m.App.Config.RecycleJitter*m.Jitter), 1))
}

// OwnEnv is a worker's part of its environment.
func (m *Worker) OwnEnv() []string {
	env := []string{config.EnvApp + "=" + m.App.Name, config.EnvGeneration + "=" + strconv.Itoa(m.Generation)}
	if m.Slot >= 0 {
		slot := strconv.Itoa(m.Slot)
		env = append(env, config.EnvSlot+"="+slot, config.EnvInstance+"="+slot)
	}
	return env
}

// In adds to a log line which worker it is about.
func (m *Worker) In(e *zerolog.Event) *zerolog.Event {
	return e.Str("app", m.App.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Int("pid", m.PID())
}

// with is In for a logger, whose lines are about the worker as it is now.
func (m *Worker) with(c zerolog.Context) zerolog.Context {
	return c.Str("app", m.App.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Int("pid", m.PID())
}
