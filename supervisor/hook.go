package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"golang.org/x/sys/unix"
)

const (
	// maxCrashHooks bounds the crashes that wait for their hook.
	maxCrashHooks = 16
	// eventHook and eventHookFailed are told when a hook has ended.
	eventHook       = "hook"
	eventHookFailed = "hook failed"
)

// appHooks is what the loop knows of an app's hooks.
type appHooks struct {
	ctx    context.Context // of those that only make sense while the app runs; nil before its start
	cancel context.CancelFunc

	running map[string]bool

	readyGeneration int  // that after_ready was run for last
	readyAgain      bool // it is due once more

	crashes []launch.Hook // that wait
	missed  int           // crashes that could not

	drains []*heldDrain // that wait for the next run
	inRun  []*heldDrain // that the run under way is for
}

// heldDrain is an order to drain that waits for its hook.
type heldDrain struct {
	m     *member
	order pool.Drain
	since time.Time
	timer *time.Timer
}

// hookEnded: err is nil when the command exited with 0.
type hookEnded struct {
	a    *app
	kind string
	took time.Duration
	err  error
}

// drainDue: a drain has waited for its hook as long as it may.
type drainDue struct{ d *heldDrain }

func (a *app) has(kind string) bool { return len(a.config.Hooks.Of(kind).Command) > 0 }

// openHooks begins the time in which an app's hooks may run.
func (l *loop) openHooks(a *app) {
	a.hooks.ctx, a.hooks.cancel = context.WithCancel(l.ctx)
	a.hooks.running = map[string]bool{}
}

// cancelHooks ends those that only make sense while the app runs on.
func (a *app) cancelHooks() {
	if a.hooks.cancel != nil {
		a.hooks.cancel()
	}
}

// hooksBusy says whether something runs that must be waited for after the end of the
// app: what tells of a crash, most of all.
func (a *app) hooksBusy() bool {
	return a.hooks.running[config.HookOnCrash] || a.hooks.running[config.HookBeforeDrain]
}

// runHook starts a hook. The caller has seen that none of its kind runs.
func (l *loop) runHook(a *app, r launch.Hook) {
	a.hooks.running[r.Kind] = true
	ctx := l.ctx
	if r.Kind == config.HookAfterReady {
		ctx = a.hooks.ctx
	}
	c, began := a.config, time.Now()
	l.s.wg.Go(func() {
		err := launch.RunHook(ctx, c, r)
		l.s.post(hookEnded{a, r.Kind, time.Since(began), err})
	})
}

func (m hookEnded) apply(l *loop) {
	a := m.a
	a.hooks.running[m.kind] = false
	l.tellHook(a, m.kind, m.took, m.err)
	switch m.kind {
	case config.HookAfterReady:
		if a.hooks.readyAgain {
			a.hooks.readyAgain = false
			l.afterReady(a)
		}
	case config.HookOnCrash:
		l.nextCrashHook(a)
	case config.HookBeforeDrain:
		for _, d := range a.hooks.inRun {
			l.releaseDrain(d)
		}
		a.hooks.inRun = nil
		l.unsettled = true
	}
}

// tellHook logs how a hook ended.
func (l *loop) tellHook(a *app, kind string, took time.Duration, err error) {
	if err == nil {
		l.logs.Info().Str("app", a.name).Str("hook", kind).Float64("took_ms", ms(took)).Msg("hook has run")
		l.event(a, zerolog.InfoLevel, control.Event{Kind: eventHook, Reason: kind, TookMS: ms(took), Message: "hook " + kind + " of app " + a.name + " has run"})
		return
	}
	l.logs.Warn().Str("app", a.name).Str("hook", kind).Float64("took_ms", ms(took)).Err(err).Msg("hook failed")
	l.event(a, zerolog.WarnLevel, control.Event{Kind: eventHookFailed, Reason: kind, TookMS: ms(took), Message: "hook " + kind + " of app " + a.name + " failed: " + err.Error()})
}

// noticed runs what a record of an app's core is a reason for.
func (l *loop) noticed(a *app, r pool.Record) {
	l.unsettled = true
	switch r.Kind {
	case pool.KindExited:
		if r.Unasked() {
			l.onCrash(a, r)
		}
		l.afterReady(a)
	case pool.KindReady, pool.KindRolloutDone, pool.KindFinished, pool.KindRetired:
		l.afterReady(a)
	}
}

// afterReady runs the hook once for each generation that all workers are ready of: for
// the start, and for each rollout that is done.
func (l *loop) afterReady(a *app) {
	if !a.has(config.HookAfterReady) || a.hooks.ctx == nil || a.hooks.ctx.Err() != nil {
		return
	}
	st := a.pool.Status()
	if st.Generation == a.hooks.readyGeneration || st.Rollout != nil || !allReady(st) {
		return
	}
	if a.hooks.running[config.HookAfterReady] {
		a.hooks.readyAgain = true
		return
	}
	a.hooks.readyGeneration = st.Generation
	l.runHook(a, launch.Hook{Kind: config.HookAfterReady, Env: hookEnv(a.name, st.Generation), Output: hookOutput(l.s.logs, config.HookAfterReady, hookOrigin(a.name, -1, 0))})
}

func (l *loop) onCrash(a *app, r pool.Record) {
	if !a.has(config.HookOnCrash) || a.hooks.running == nil {
		return
	}
	if len(a.hooks.crashes) >= maxCrashHooks {
		a.hooks.missed++
		return
	}
	signal := ""
	if r.Signal != 0 {
		signal = unix.SignalName(syscall.Signal(r.Signal))
	}
	env := append(hookEnv(a.name, r.Generation),
		"TINE_WORKER="+strconv.FormatUint(uint64(r.ID), 10), "TINE_PID="+strconv.Itoa(r.PID),
		"TINE_EXIT_CODE="+strconv.Itoa(r.Code), "TINE_SIGNAL="+signal)
	if r.Slot >= 0 {
		env = append(env, config.EnvSlot+"="+strconv.Itoa(r.Slot))
	}
	a.hooks.crashes = append(a.hooks.crashes, launch.Hook{Kind: config.HookOnCrash, Env: env, Output: hookOutput(l.s.logs, config.HookOnCrash, hookOrigin(a.name, r.Slot, uint64(r.ID)))})
	l.nextCrashHook(a)
}

func (l *loop) nextCrashHook(a *app) {
	if l.stopping && l.asked {
		a.hooks.crashes = nil // a person's stop waits for the one that runs, and no more
	}
	if a.hooks.running[config.HookOnCrash] || len(a.hooks.crashes) == 0 {
		return
	}
	if a.hooks.missed > 0 {
		l.logs.Warn().Str("app", a.name).Int("crashes", a.hooks.missed).Msg("hook on_crash not run for some crashes: too many at once")
		a.hooks.missed = 0
	}
	r := a.hooks.crashes[0]
	a.hooks.crashes = slices.Delete(a.hooks.crashes, 0, 1)
	l.runHook(a, r)
}

// holdDrain has a drain wait for its hook, if there is one.
func (l *loop) holdDrain(m *member, e pool.Drain) bool {
	a := m.app
	most := min(a.config.Hooks.BeforeDrain.Timeout, e.Timeout/2)
	if !a.has(config.HookBeforeDrain) || a.hooks.running == nil || most <= 0 {
		return false
	}
	d := &heldDrain{m: m, order: e, since: time.Now()}
	d.timer = time.AfterFunc(most, func() { l.s.post(drainDue{d}) })
	a.hooks.drains = append(a.hooks.drains, d)
	l.unsettled = true
	return true
}

// runDrainHooks starts the hook for all drains that came together.
func (l *loop) runDrainHooks() {
	for _, a := range l.apps {
		if len(a.hooks.drains) == 0 || a.hooks.running[config.HookBeforeDrain] {
			continue
		}
		var slots, workers, pids []string
		for _, d := range a.hooks.drains {
			slots = append(slots, strconv.Itoa(d.m.slot))
			workers = append(workers, strconv.FormatUint(uint64(d.m.id), 10))
			pids = append(pids, strconv.Itoa(d.m.proc.PID()))
		}
		env := append(hookEnv(a.name, a.hooks.drains[0].m.generation), config.EnvSlot+"="+strings.Join(slots, ","),
			"TINE_WORKER="+strings.Join(workers, ","), "TINE_PID="+strings.Join(pids, ","))
		from := hookOrigin(a.name, -1, 0)
		if len(a.hooks.drains) == 1 {
			from = hookOrigin(a.name, a.hooks.drains[0].m.slot, uint64(a.hooks.drains[0].m.id))
		}
		a.hooks.inRun, a.hooks.drains = a.hooks.drains, nil
		l.runHook(a, launch.Hook{Kind: config.HookBeforeDrain, Env: env, Output: hookOutput(l.s.logs, config.HookBeforeDrain, from)})
	}
}

func (m drainDue) apply(l *loop) { l.releaseDrain(m.d) }

// releaseDrain tells a worker to drain in the time that it still has.
func (l *loop) releaseDrain(d *heldDrain) {
	m := d.m
	if m == nil {
		return // it is told
	}
	d.m = nil
	d.timer.Stop()
	a := m.app
	a.hooks.drains = slices.DeleteFunc(a.hooks.drains, func(o *heldDrain) bool { return o == d })
	if a.members[m.id] != m {
		return
	}
	d.order.Timeout = max(d.order.Timeout-time.Since(d.since), time.Millisecond)
	l.tellDrain(m, d.order)
}

// forgetHeldDrain is for a worker that is told something newer than the order that waits. It says
// whether there was one.
func (l *loop) forgetHeldDrain(m *member) (held bool) {
	for _, d := range append(slices.Clone(m.app.hooks.drains), m.app.hooks.inRun...) {
		if d.m == m {
			d.m, held = nil, true
			d.timer.Stop()
		}
	}
	m.app.hooks.drains = slices.DeleteFunc(m.app.hooks.drains, func(d *heldDrain) bool { return d.m == nil })
	return held
}

// hookEnv is what every hook finds.
func hookEnv(app string, generation int) []string {
	return []string{config.EnvApp + "=" + app, config.EnvGeneration + "=" + strconv.Itoa(generation)}
}

func hookOrigin(app string, slot int, worker uint64) book.Origin {
	return book.Origin{App: app, Slot: slot, Worker: worker, Stream: control.StreamHook}
}

// prepare runs the hook before_start of a worker's generation.
func (s *Supervisor) prepare(ctx context.Context, m *member, g *launch.Generation) error {
	if len(g.Config.Hooks.BeforeStart.Command) == 0 {
		return nil
	}
	return g.Prepared.Once(func() error {
		began := time.Now()
		err := launch.RunHook(ctx, g.Config, launch.Hook{Kind: config.HookBeforeStart, Env: hookEnv(m.app.name, m.generation), Output: hookOutput(s.logs, config.HookBeforeStart, hookOrigin(m.app.name, -1, 0))})
		s.post(hookEnded{m.app, config.HookBeforeStart, time.Since(began), err})
		if err != nil {
			return fmt.Errorf("hook before_start: %w", err)
		}
		return nil
	})
}

// hookOutput is where the lines of a hook go: to the app's log, with a prefix that names the hook and its process.
func hookOutput(out *logs.Logs, kind string, from book.Origin) func(pid int) (stdout, stderr proc.LineFunc) {
	return func(pid int) (stdout, stderr proc.LineFunc) {
		from.PID = pid
		var prefix atomic.Pointer[logs.OutputPrefix]
		prefix.Store(&logs.OutputPrefix{
			Origin: from,
			Text:   fmt.Appendf(nil, "%s/%s[%d] ", from.App, kind, pid),
			JSON:   fmt.Appendf(nil, `","app":%q,"hook":%q,"pid":%d,"stream":%q,"message":`, from.App, kind, pid, from.Stream),
		})
		return out.Output(&prefix), out.Output(&prefix)
	}
}
