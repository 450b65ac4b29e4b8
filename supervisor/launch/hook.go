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
)

const (
	// beat is the interval at which a hook's time is measured. Of a pause of this process at most one beat counts as run time.
	beat = time.Second
	// late is how late a timer may fire because the machine is busy. More is taken for a pause of this process.
	late = 500 * time.Millisecond
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
	ctx, cancel := withRunTime(ctx, h.Timeout)
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

// withRunTime is context.WithTimeout, but counts only time in which this process runs: after a pause of the process (SIGSTOP,
// a suspended machine) the hook still has the rest of its time. At the timeout the cause is context.DeadlineExceeded. The
// caller must call cancel.
func withRunTime(ctx context.Context, left time.Duration) (_ context.Context, cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for left > 0 {
			asked, began := min(left, beat), time.Now()
			timer.Reset(asked)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			if took := time.Since(began); took <= asked+late {
				left -= took
			} else {
				left -= asked
			}
		}
		end(context.DeadlineExceeded)
	}()
	return ctx, func() { end(context.Canceled) }
}
