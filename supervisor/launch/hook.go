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
	// beat is how often a hook's time is looked at: so much of a pause of this process may be taken for the hook's.
	beat = time.Second
	// late is by how much later than asked for a timer fires on a machine that is only busy.
	late = 500 * time.Millisecond
)

// hookEnd bounds the wait for a hook that was killed.
const hookEnd = time.Second

// Hook is one run of a hook.
type Hook struct {
	Kind string // config.HookBeforeStart and so on
	Env  []string
	// Output returns where the lines of its stdout and stderr go, once its PID is known.
	Output func(pid int) (stdout, stderr proc.LineFunc)
}

// RunHook runs a hook of c as its workers are run, in its folder with its environment, and waits for its end. When the hook's time is over or ctx ends, its whole process group is killed; so is what it leaves behind
// when it has ended.
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
	_ = p.Kill() // an error: it has just ended
	select {
	case <-p.Exited():
	case <-time.After(hookEnd):
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s, killed", h.Timeout)
	}
	return errors.New("killed: the app is stopping")
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

func (p *preparation) Once(do func() error) error {
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

// withRunTime is context.WithTimeout in time in which this process runs: its cause is context.DeadlineExceeded then. cancel is
// to be called.
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
