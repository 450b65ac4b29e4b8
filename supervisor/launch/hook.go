package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/wake"
)

// hookEnd bounds the wait for the exit of a hook that was killed.
const hookEnd = time.Second

// Hook is one run of a hook.
type Hook struct {
	Kind string   // config.HookBeforeStart and so on
	Env  []string // KEY=VALUE, on top of the app's environment
	// Output returns the functions that take the lines of its stdout and stderr. It is called once, when the PID is known.
	Output func(pid int) (stdout, stderr proc.LineFunc)
}

// RunHook runs a hook of c in the folder and the environment of its workers, and waits for its end. When the hook's timeout
// is over or ctx ends, its process group is killed. What it leaves behind when it ends is killed too. The error says why the
// hook could not be started, how it exited with its last line, or that it was killed and why.
func RunHook(ctx context.Context, c config.App, r Hook) error {
	h := c.Hooks.Of(r.Kind)
	env, err := c.Environment(os.Environ())
	if err != nil {
		return err
	}
	command, err := proc.Resolve(proc.Spec{Command: h.Command, Dir: c.Dir, Env: append(env, r.Env...)})
	if err != nil {
		return err
	}
	ctx, cancel := wake.WithRunTime(ctx, h.Timeout)
	defer cancel()
	known := make(chan struct{})
	var stdout, stderr proc.LineFunc
	p, err := proc.Start(command, proc.Options{
		Stdout: func(line []byte, more bool) { <-known; stdout(line, more) },
		Stderr: func(line []byte, more bool) { <-known; stderr(line, more) },
	})
	if err != nil {
		return err
	}
	stdout, stderr = r.Output(p.PID())
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
	_ = p.Kill() // fails if it has just ended
	select {
	case <-p.Exited():
	case <-time.After(hookEnd):
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s, killed", h.Timeout)
	}
	return errors.New("killed: the app is stopping")
}

// preparation runs a function once: see [Generation.Prepare].
type preparation struct {
	mu   sync.Mutex
	done bool     // an attempt has succeeded
	now  *attempt // in progress; nil: none
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
