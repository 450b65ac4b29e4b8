package crew

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/proc"
	"golang.org/x/sys/unix"
)

// Hooks run beside the loop, which never waits for one: how a hook ended comes back as a Message. When a hook is run the core of the
// apps decides; before_start alone is a part of the start of a worker.

// Kinds of the events that tell that a hook has ended.
const (
	eventHook       = "hook"
	eventHookFailed = "hook failed"
)

// hookKinds are the hooks whose runs the core of the apps decides about.
var hookKinds = map[apps.Hook]string{
	apps.AfterReady: config.HookAfterReady, apps.BeforeDrain: config.HookBeforeDrain, apps.OnCrash: config.HookOnCrash,
}

// hook is one run of a hook of an app.
type hook struct {
	app  *App
	kind string      // config.HookBeforeStart and so on
	env  []string    // on top of the app's environment
	from book.Origin // of its output
}

// newHook is a run for no worker in particular.
func newHook(a *App, kind string, generation int) hook {
	return hook{
		app: a, kind: kind,
		env:  []string{config.EnvApp + "=" + a.Name, config.EnvGeneration + "=" + strconv.Itoa(generation)},
		from: book.Origin{App: a.Name, Slot: -1, Stream: api.StreamHook},
	}
}

// run waits for the end of the hook, and says how it ended. The lines of its output go to the app's log, with a prefix that names the
// hook and its process.
func (h hook) run(ctx context.Context, out *logs.Logs, c config.App) hookEnded {
	began := time.Now()
	err := launch.RunHook(ctx, c, launch.Hook{Kind: h.kind, Env: h.env, Output: func(pid int) (stdout, stderr proc.LineFunc) {
		var prefix atomic.Pointer[logs.Prefix]
		prefix.Store(logs.NewHookPrefix(h.from, h.kind, pid))
		return out.Output(&prefix), out.Output(&prefix)
	}})
	return hookEnded{h.app, h.kind, time.Since(began), err}
}

// hookEnded: err is nil when the command exited with 0.
type hookEnded struct {
	app  *App
	kind string
	took time.Duration
	err  error
}

// RunHook starts a hook for the core of the apps, which is told of its end.
func (c *Crew) RunHook(a *App, e apps.RunHook) {
	h := newHook(a, hookKinds[e.Hook], e.Generation)
	var slots, workers, pids []string
	for _, w := range e.Workers {
		if w.Slot >= 0 {
			slots = append(slots, strconv.Itoa(w.Slot))
		}
		workers, pids = append(workers, strconv.FormatUint(uint64(w.ID), 10)), append(pids, strconv.Itoa(w.PID))
	}
	if len(e.Workers) == 1 {
		h.from.Slot, h.from.Worker = e.Workers[0].Slot, uint64(e.Workers[0].ID)
	}
	if len(slots) > 0 {
		h.env = append(h.env, config.EnvSlot+"="+strings.Join(slots, ","))
	}
	if len(workers) > 0 {
		h.env = append(h.env, "TINE_WORKER="+strings.Join(workers, ","), "TINE_PID="+strings.Join(pids, ","))
	}
	ctx := c.loop.Context()
	switch e.Hook {
	case apps.AfterReady:
		ctx = a.HooksCtx
	case apps.OnCrash:
		signal := ""
		if e.Signal != 0 {
			signal = unix.SignalName(syscall.Signal(e.Signal))
		}
		h.env = append(h.env, "TINE_EXIT_CODE="+strconv.Itoa(e.Code), "TINE_SIGNAL="+signal)
	}
	config := a.Config
	c.loop.Go(func() { c.loop.Post(h.run(ctx, c.logs, config)) })
}

func (m hookEnded) Act(c *Crew) {
	took := api.Milliseconds(m.took)
	event := api.Event{Kind: eventHook, Reason: m.kind, TookMS: took, Message: "hook " + m.kind + " of app " + m.app.Name + " has run"}
	if m.err == nil {
		c.logs.Info().Str("app", m.app.Name).Str("hook", m.kind).Float64("took_ms", took).Msg("hook has run")
		c.loop.Event(m.app, zerolog.InfoLevel, event)
	} else {
		c.logs.Warn().Str("app", m.app.Name).Str("hook", m.kind).Float64("took_ms", took).Err(m.err).Msg("hook failed")
		event.Kind, event.Message = eventHookFailed, "hook "+m.kind+" of app "+m.app.Name+" failed: "+m.err.Error()
		c.loop.Event(m.app, zerolog.WarnLevel, event)
	}
	for hook, kind := range hookKinds {
		if kind == m.kind {
			c.loop.Decide(apps.HookEnded{App: m.app.ID(), Hook: hook})
		}
	}
}
