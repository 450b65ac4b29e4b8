package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	// goOnTimeout bounds how long an order is followed on the master that comes after the one that got it.
	goOnTimeout = 10 * time.Minute
	// goOnPace is how often that master is asked.
	goOnPace = 100 * time.Millisecond
)

// goOn follows an order whose master ended before the order did, on the next master, which carries out what the old one had
// begun. nil: the order is done.
func (o *orders) goOn(ctx context.Context, r *target.Running, order api.Order, p *term.Progress, cut *control.CutError) error {
	ctx, cancel := context.WithTimeout(ctx, goOnTimeout)
	defer cancel()
	r.Close() // the connections to the old master
	said := ""
	late := time.Now().Add(target.MasterWait)
	for {
		now, err := r.Status(ctx)
		if errors.Is(err, control.ErrNotRunning) && time.Now().Before(late) { // a master that becomes the keeper does not answer meanwhile
			select {
			case <-time.After(target.MasterPace):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil {
			return fmt.Errorf("the master, pid %d, has ended, and there is no other yet; whether the %s was done is not known: %w", r.Seen.PID, order.Verb, err)
		}
		late = time.Now().Add(target.MasterWait)
		if now.PID == r.Seen.PID {
			return fmt.Errorf("%w; the master, pid %d, goes on: see tine status", cut, now.PID)
		}
		if order.Verb == api.VerbUpgrade {
			same, _ := compareWorkers(r.Seen, now)
			return fmt.Errorf("the master, pid %d, has ended during the upgrade; pid %d is in charge now, tine %s, with %s of before: see tine events",
				r.Seen.PID, now.PID, now.Version, term.Count(same, "worker"))
		}
		over, what, err := judge(order, r.Seen, now)
		if err != nil {
			return fmt.Errorf("the master, pid %d, has ended during the %s; pid %d is in charge now: %w", r.Seen.PID, order.Verb, now.PID, err)
		}
		if over {
			return nil
		}
		if what != said {
			said = what
			p.Step(api.Progress{Time: time.Now(), App: order.App, Message: fmt.Sprintf("goes on below another master, pid %d: %s", now.PID, what)})
		}
		select {
		case <-time.After(goOnPace):
		case <-ctx.Done():
			return fmt.Errorf("%w; another one, pid %d, goes on with it: see tine status", cut, now.PID)
		}
	}
}

// errUnknown: the status of the next master does not show whether an order was done.
var errUnknown = errors.New("whether it was done cannot be told: see tine status and tine events")

// judge decides by the status before an order and the status now, of another master, whether the order is done (over), or how
// far it is (what). An error says that it failed or was lost.
func judge(order api.Order, before, now api.Status) (over bool, what string, err error) {
	judged := false
	for _, old := range before.Apps {
		if order.App != "" && old.Name != order.App && old.Namespace != order.App {
			continue
		}
		i := slices.IndexFunc(now.Apps, func(a api.App) bool { return a.Name == old.Name })
		if i < 0 {
			return false, "", fmt.Errorf("app %s is gone", old.Name)
		}
		if order.App == "" && (old.State != api.AppRunning || old.OneShot) {
			continue // an order to all apps leaves it out
		}
		judged = true
		done, far, err := judgeApp(order, old, now.Apps[i])
		if err != nil {
			return false, "", err
		}
		if !done {
			return false, old.Name + " " + far, nil
		}
	}
	if !judged {
		return false, "", errUnknown
	}
	return true, "", nil
}

// judgeApp is judge for one app.
func judgeApp(order api.Order, old, now api.App) (done bool, far string, err error) {
	ready := fmt.Sprintf("%d of %d ready", now.Ready, now.Desired)
	switch order.Verb {
	case api.VerbReload, api.VerbRollback:
		switch {
		case now.Rollout != nil && now.Rollout.State == api.RolloutRunning:
			return false, fmt.Sprintf("%d of %d rolled", now.Rollout.Done, now.Rollout.Total), nil
		case now.Rollout != nil && now.Rollout.State == api.RolloutAborted && now.Rollout.ID > old.Generation:
			return false, "", fmt.Errorf("%s of app %s aborted, the old workers stay: %s", order.Verb, now.Name, now.Rollout.Error)
		case now.Generation > old.Generation:
			return true, "", nil
		}
		return false, "", fmt.Errorf("app %s was not %s: give the command again", now.Name, map[string]string{api.VerbReload: "reloaded", api.VerbRollback: "rolled back"}[order.Verb])
	case api.VerbScale:
		want := order.N
		if order.By {
			want += old.Desired
		}
		switch {
		case now.Desired != want:
			return false, "", fmt.Errorf("app %s was not scaled, it has %d workers: give the command again", now.Name, now.Desired)
		case now.Ready < want || len(now.Workers) > want:
			return false, ready, nil
		}
		return true, "", nil
	case api.VerbStop:
		switch now.State {
		case api.AppStopped:
			return true, "", nil
		case api.AppStopping:
			return false, "is stopping", nil
		}
		return false, "", fmt.Errorf("app %s was not stopped: give the command again", now.Name)
	case api.VerbStart:
		switch {
		case now.State != api.AppRunning:
			return false, "", fmt.Errorf("app %s is %s: give the command again", now.Name, now.State)
		case now.Ready < now.Desired:
			return false, ready, nil
		}
		return order.Slot == nil || holds(now, *order.Slot, "ready"), ready, nil
	case api.VerbDrain:
		switch {
		case order.Slot == nil:
		case holds(now, *order.Slot, "drained"):
			return true, "", nil
		case holds(now, *order.Slot, "draining"), holds(now, *order.Slot, "killing"):
			return false, "is draining", nil
		default:
			return false, "", fmt.Errorf("slot %d of app %s was not drained: give the command again", *order.Slot, now.Name)
		}
	case api.VerbPause, api.VerbResume:
		if (now.Paused != nil) != (order.Verb == api.VerbPause) {
			return false, "", fmt.Errorf("app %s was not %sd: give the command again", now.Name, order.Verb)
		}
		return true, "", nil
	case api.VerbRestart:
		switch {
		case now.State != api.AppRunning && now.State != api.AppStopping:
			return false, "", fmt.Errorf("app %s is %s, and was not started again: tine start %s", now.Name, now.State, now.Name)
		case now.State == api.AppStopping || now.Ready < now.Desired:
			return false, ready, nil
		case order.Slot == nil && !slices.ContainsFunc(now.Workers, func(w api.Worker) bool {
			return slices.ContainsFunc(old.Workers, func(before api.Worker) bool { return w.ID != 0 && w.ID == before.ID })
		}):
			return true, "", nil
		}
	}
	return false, "", errUnknown
}

// holds reports whether a slot, or its worker, is in that state.
func holds(a api.App, slot int, state string) bool {
	return slices.ContainsFunc(a.Workers, func(w api.Worker) bool { return w.Slot == slot && w.State == state })
}
