package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/control"
)

const (
	// masterWait is how long a command waits for a master that a keeper is to bring back.
	masterWait = 5 * time.Second
	masterPace = 100 * time.Millisecond
)

// lostMaster is an error: a keeper lives and its masters fail, or a master lives and nobody listens at its control socket.
// Its status is that there is nobody to ask.
type lostMaster struct{ claim.About }

func (e *lostMaster) Error() string {
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
func (t *target) soon(ctx context.Context) ([]*candidate, error) {
	for late := time.Now().Add(masterWait); ; {
		all, err := t.candidates(ctx)
		if err == nil && (len(all) != 1 || all[0].err == nil) {
			return all, nil
		}
		lost := t.lost(ctx, err != nil || errors.Is(all[0].err, control.ErrNotRunning))
		if lost == nil {
			return all, err
		}
		for _, c := range all {
			c.Close()
		}
		if time.Now().After(late) {
			return nil, &lostMaster{*lost}
		}
		select {
		case <-time.After(masterPace):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lost is what the keeper says whose master may be meant and does not live, or is not ready; nil: there is none. Where nobody
// listens it is also what a master says that is to.
func (t *target) lost(ctx context.Context, nobody bool) *claim.About {
	path := t.path()
	for _, found := range claim.Find(ctx) {
		a := found.About
		comes := a.State == claim.Waiting || a.Failures > 0 || nobody && a.Control != "" && a.State != claim.Stopping
		if found.Err != nil || !comes {
			continue
		}
		byName := t.master == "" || a.Name == t.master
		byPath := path == "" || a.Control == path || isFolder(path) && filepath.Dir(a.Control) == filepath.Clean(path)
		if byName && byPath {
			return &a
		}
	}
	return nil
}

// stopLost has the keeper end what has lost its master.
func (o *orders) stopLost(ctx context.Context, lost *lostMaster, now bool) error {
	ctx, cancel := context.WithTimeout(ctx, goOnTimeout)
	defer cancel()
	ended := endOf(lost.PID)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(lost.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot stop %s: cannot signal its keeper, pid %d: %w", lost.Name, lost.PID, err)
		}
		if !now { // a second one kills
			break
		}
	}
	if err := ended(ctx); err != nil {
		return fmt.Errorf("cannot see the end of the keeper of %s (pid %d): %w", lost.Name, lost.PID, err)
	}
	return nil
}
