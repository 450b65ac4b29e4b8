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
	// MasterWait is how long a command waits for a master that its keeper is starting, and MasterPace how often it looks.
	MasterWait = 5 * time.Second
	MasterPace = 100 * time.Millisecond
)

// LostError says that no master can be asked although something runs: a keeper whose masters fail, or a master without its
// control socket. It is a control.ErrNotRunning too.
type LostError struct{ claim.About }

// Is makes errors.Is(e, control.ErrNotRunning) true.
func (e *LostError) Is(target error) bool { return target == control.ErrNotRunning }

func (e *LostError) Error() string {
	if e.State == claim.Serving && e.Failures == 0 {
		return fmt.Sprintf("%s (pid %d) runs, and does not listen at its control socket %s: it looks for the socket each second, and makes it again if its folder exists and is safe", e.Name, e.PID, e.Control)
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

// soon is Candidates with patience: if no master answers, but a keeper is starting one, or one is starting or has just lost
// its control socket, soon asks again for up to MasterWait.
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

// lost returns what a keeper answers at the claim of a name if its master is not running or not ready, and may be the one that
// is meant; nil: there is none. With silent, which says that no master listens, a master that answers at its claim counts too.
func (t *Target) lost(ctx context.Context, silent bool) *claim.About {
	path := t.path()
	for _, found := range claim.Find(ctx) {
		a := found.About
		comes := a.State == claim.Waiting || a.Failures > 0 || silent && a.Control != "" && a.State != claim.Stopping
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
