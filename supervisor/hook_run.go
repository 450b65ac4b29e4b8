package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/proc"
)

// hookEnd bounds the wait for a hook that was killed.
const hookEnd = time.Second

// hook runs a command as the app's workers are run, in its folder with its environment,
// and waits for its end. Its output goes to the app's log. When its time is over or ctx
// ends, its whole group is killed; so is what it leaves behind when it has ended.
func (s *Supervisor) hook(ctx context.Context, c config.App, r hookRun) error {
	h := c.Hooks.Of(r.kind)
	env, err := c.Environment(os.Environ())
	if err != nil {
		return err
	}
	command, err := proc.Resolve(proc.Spec{Command: h.Command, Dir: c.Dir, Env: append(env, r.env...)})
	if err != nil {
		return err
	}
	ctx, cancel := withRunTime(ctx, h.Timeout)
	defer cancel()
	var prefix atomic.Pointer[logs.OutputPrefix]
	known := make(chan struct{})
	var stdout, stderr proc.LineFunc
	p, err := proc.Start(command, proc.Options{
		Stdout: func(line []byte, more bool) { <-known; stdout(line, more) },
		Stderr: func(line []byte, more bool) { <-known; stderr(line, more) },
	})
	if err != nil {
		return err
	}
	prefix.Store(newHookPrefix(r, p.PID()))
	stdout, stderr = s.logs.Output(&prefix), s.logs.Output(&prefix)
	close(known)
	select {
	case <-p.Exited():
		<-p.OutputDone()
		if exit := p.Exit(); exit.Code != 0 || exit.Signal != 0 {
			if exit.LastLine != "" {
				return fmt.Errorf("%s: %s", exit, exit.LastLine)
			}
			return errors.New(exit.String())
		}
		return nil
	case <-ctx.Done():
	}
	_ = p.Kill() // an error: it has just ended
	within(p.Exited(), hookEnd)
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s, killed", h.Timeout)
	}
	return errors.New("killed: the app is stopping")
}

func newHookPrefix(r hookRun, pid int) *logs.OutputPrefix {
	from := r.from
	from.Pid = pid
	return &logs.OutputPrefix{
		Origin: from,
		Text:   fmt.Appendf(nil, "%s/%s[%d] ", from.App, r.kind, pid),
		Json:   fmt.Appendf(nil, `","app":%q,"hook":%q,"pid":%d,"stream":%q,"message":`, from.App, r.kind, pid, from.Stream),
	}
}

// preparation is what is done once before the first worker of a generation. Who comes
// while it is done waits for it; after a failure the next one does it again.
type preparation struct {
	mu   sync.Mutex
	done bool
	now  *attempt
}

type attempt struct {
	ended chan struct{}
	err   error
}

func (p *preparation) once(do func() error) error {
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return nil
	}
	if now := p.now; now != nil {
		p.mu.Unlock()
		<-now.ended
		return now.err
	}
	now := &attempt{ended: make(chan struct{})}
	p.now = now
	p.mu.Unlock()
	now.err = do()
	p.mu.Lock()
	p.done, p.now = now.err == nil, nil
	p.mu.Unlock()
	close(now.ended)
	return now.err
}

// prepare runs the hook before_start of a worker's generation.
func (s *Supervisor) prepare(ctx context.Context, m *member, g *generation) error {
	if len(g.config.Hooks.BeforeStart.Command) == 0 {
		return nil
	}
	return g.prepared.once(func() error {
		began := time.Now()
		err := s.hook(ctx, g.config, hookRun{config.HookBeforeStart, hookEnv(m.app.name, m.generation), hookOrigin(m.app.name, -1, 0)})
		s.post(hookEnded{m.app, config.HookBeforeStart, time.Since(began), err})
		if err != nil {
			return fmt.Errorf("hook before_start: %w", err)
		}
		return nil
	})
}
