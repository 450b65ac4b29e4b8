package master

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/proc"
	"golang.org/x/sys/unix"
)

// Hooks run beside the loop, which never waits for one: how a hook ended comes back as a message. When one is run the core of the
// apps decides; before_start alone is a part of the start of a worker.

// eventHook and eventHookFailed are told when a hook has ended.
const (
	eventHook       = "hook"
	eventHookFailed = "hook failed"
)

// hookEnded: err is nil when the command exited with 0.
type hookEnded struct {
	a    *crew.App
	kind string
	took time.Duration
	err  error
}

// hookKinds are the hooks whose runs the core of the apps decides about.
var hookKinds = map[apps.Hook]string{
	apps.AfterReady: config.HookAfterReady, apps.BeforeDrain: config.HookBeforeDrain, apps.OnCrash: config.HookOnCrash,
}

// runHook starts a hook for the core. Its end comes back as a message.
func (l *loop) runHook(a *crew.App, e apps.RunHook) {
	r, from := launch.Hook{Kind: hookKinds[e.Hook], Env: hookEnv(a.Name, e.Generation)}, hookOrigin(a.Name, -1, 0)
	var slots, workers, pids []string
	for _, w := range e.Workers {
		if w.Slot >= 0 {
			slots = append(slots, strconv.Itoa(w.Slot))
		}
		workers, pids = append(workers, strconv.FormatUint(uint64(w.ID), 10)), append(pids, strconv.Itoa(w.PID))
	}
	if len(e.Workers) == 1 {
		from = hookOrigin(a.Name, e.Workers[0].Slot, uint64(e.Workers[0].ID))
	}
	if len(slots) > 0 {
		r.Env = append(r.Env, config.EnvSlot+"="+strings.Join(slots, ","))
	}
	if len(workers) > 0 {
		r.Env = append(r.Env, "TINE_WORKER="+strings.Join(workers, ","), "TINE_PID="+strings.Join(pids, ","))
	}
	r.Output = hookOutput(l.s.logs, r.Kind, from)
	ctx := l.ctx
	switch e.Hook {
	case apps.AfterReady:
		ctx = a.HooksCtx
	case apps.OnCrash:
		signal := ""
		if e.Signal != 0 {
			signal = unix.SignalName(syscall.Signal(e.Signal))
		}
		r.Env = append(r.Env, "TINE_EXIT_CODE="+strconv.Itoa(e.Code), "TINE_SIGNAL="+signal)
	}
	c, began := a.Config, time.Now()
	l.s.wg.Go(func() {
		err := launch.RunHook(ctx, c, r)
		l.s.post(hookEnded{a, r.Kind, time.Since(began), err})
	})
}

func (m hookEnded) apply(l *loop) {
	if took := api.Milliseconds(m.took); m.err == nil {
		l.logs.Info().Str("app", m.a.Name).Str("hook", m.kind).Float64("took_ms", took).Msg("hook has run")
		l.event(m.a, zerolog.InfoLevel, control.Event{Kind: eventHook, Reason: m.kind, TookMS: took, Message: "hook " + m.kind + " of app " + m.a.Name + " has run"})
	} else {
		l.logs.Warn().Str("app", m.a.Name).Str("hook", m.kind).Float64("took_ms", took).Err(m.err).Msg("hook failed")
		l.event(m.a, zerolog.WarnLevel, control.Event{Kind: eventHookFailed, Reason: m.kind, TookMS: took, Message: "hook " + m.kind + " of app " + m.a.Name + " failed: " + m.err.Error()})
	}
	for hook, kind := range hookKinds {
		if kind == m.kind {
			l.decide(apps.HookEnded{App: m.a.ID(), Hook: hook})
		}
	}
}

// hookEnv is what every hook finds.
func hookEnv(app string, generation int) []string {
	return []string{config.EnvApp + "=" + app, config.EnvGeneration + "=" + strconv.Itoa(generation)}
}

func hookOrigin(app string, slot int, worker uint64) book.Origin {
	return book.Origin{App: app, Slot: slot, Worker: worker, Stream: control.StreamHook}
}

// prepare runs the hook before_start of a worker's generation.
func (s *Supervisor) prepare(ctx context.Context, m *crew.Worker, g *launch.Generation) error {
	if len(g.Config.Hooks.BeforeStart.Command) == 0 {
		return nil
	}
	return g.Prepare(func() error {
		began := time.Now()
		err := launch.RunHook(ctx, g.Config, launch.Hook{Kind: config.HookBeforeStart, Env: hookEnv(m.App.Name, m.Generation), Output: hookOutput(s.logs, config.HookBeforeStart, hookOrigin(m.App.Name, -1, 0))})
		s.post(hookEnded{m.App, config.HookBeforeStart, time.Since(began), err})
		if err != nil {
			return fmt.Errorf("hook before_start: %w", err)
		}
		return nil
	})
}

// hookOutput is where the lines of a hook go: to the app's log, with a prefix that names the hook and its process.
func hookOutput(out *logs.Logs, kind string, from book.Origin) func(pid int) (stdout, stderr proc.LineFunc) {
	return func(pid int) (stdout, stderr proc.LineFunc) {
		var prefix atomic.Pointer[logs.Prefix]
		prefix.Store(logs.NewHookPrefix(from, kind, pid))
		return out.Output(&prefix), out.Output(&prefix)
	}
}
