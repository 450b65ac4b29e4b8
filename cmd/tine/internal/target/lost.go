package target

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/control"
)

const (
	// MasterWait is how long a command waits for a master that a keeper is to bring back.
	MasterWait = 5 * time.Second
	MasterPace = 100 * time.Millisecond
)

// LostError is an error: a keeper lives and its masters fail, or a master lives and nobody listens at its control socket.
// Its status is that there is nobody to ask.
type LostError struct{ claim.About }

// Is makes it a control.ErrNotRunning: the exit status is that of a command that finds no master.
func (e *LostError) Is(target error) bool { return target == control.ErrNotRunning }

func (e *LostError) Error() string {
	if e.State == claim.Serving && e.Failures == 0 {
		return fmt.Sprintf("%s (pid %d) runs, and does not listen at its control socket %s: it is looked for each second, and made again where its folder is there and safe", e.Name, e.PID, e.Control)
	}
	text := fmt.Sprintf("no master of %s answers", e.Name)
	if e.Failures > 0 {
		times := "once"
		if e.Failures > 1 {
			times = fmt.Sprintf("%d times", e.Failures)
		}
		text = fmt.Sprintf("the master of %s failed %s (%s)", e.Name, times, e.Why)
	}
	if e.Next > 0 {
		return fmt.Sprintf("%s; the keeper (pid %d) starts another in %s", text, e.PID, e.Next.Round(100*time.Millisecond))
	}
	return fmt.Sprintf("%s; the keeper (pid %d) is starting another", text, e.PID)
}

// soon is candidates, but where none answers and a keeper lives that is to bring it back, it waits for that. So it does for
// a master that is starting, or that has just lost its control socket.
func (t *Target) soon(ctx context.Context) ([]*Candidate, error) {
	for late := time.Now().Add(MasterWait); ; {
		all, err := t.Candidates(ctx)
		if err == nil && (len(all) != 1 || all[0].Err == nil) {
			return all, nil
		}
		lost := t.lost(ctx, err != nil || errors.Is(all[0].Err, control.ErrNotRunning))
		if lost == nil {
			return all, err
		}
		for _, c := range all {
			c.Close()
		}
		if time.Now().After(late) {
			return nil, &LostError{*lost}
		}
		select {
		case <-time.After(MasterPace):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lost is what the keeper says whose master may be meant and does not live, or is not ready; nil: there is none. Where nobody
// listens it is also what a master says that is to.
func (t *Target) lost(ctx context.Context, nobody bool) *claim.About {
	path := t.path()
	for _, found := range claim.Find(ctx) {
		a := found.About
		comes := a.State == claim.Waiting || a.Failures > 0 || nobody && a.Control != "" && a.State != claim.Stopping
		if found.Err != nil || !comes {
			continue
		}
		byName := t.Master == "" || a.Name == t.Master
		byPath := path == "" || a.Control == path || IsFolder(path) && filepath.Dir(a.Control) == filepath.Clean(path)
		if byName && byPath {
			return &a
		}
	}
	return nil
}
