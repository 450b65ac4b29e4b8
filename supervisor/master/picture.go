package master

import (
	"context"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

const (
	// cheapPicture is what making a picture may take without a pause after it.
	cheapPicture = 100 * time.Microsecond
	// picturePart bounds the share of the loop's time that pictures take: one that took longer than cheapPicture is followed by
	// a pause of so many times that, unless a reader waits for the next.
	picturePart = 20
	// picturePause bounds that pause, and so the wait of a reader that comes when no turn follows.
	picturePause = 20 * time.Millisecond
)

// picture is what the loop knows of the snapshot that it has published last: see package snapshot.
type picture struct {
	unshown bool        // something has changed that belongs to no app
	apps    []*crew.App // that have changed since, each once
	of      []*crew.App // all apps, as they were published
	epoch   uint64      // of the values, likewise
	due     time.Time   // of the next one, while one is owed; zero: now
	listed  []*crew.App // those of them that are shown
	listing bool        // which of the apps are listed may have changed
}

// show has the next picture made with a new part for a.
func (l *loop) show(a *crew.App) {
	if !a.Unshown {
		a.Unshown = true
		l.picture.apps = append(l.picture.apps, a)
	}
}

// owed reports whether the newest picture lacks something.
func (l *loop) owed() bool {
	p := &l.picture
	return p.unshown || len(p.apps) > 0 || l.values.Touched() || p.epoch != l.values.Epoch() || !slices.Equal(p.of, l.apps)
}

// endTurn ends a turn of the loop: it makes a new picture, if something has changed, and lets the readers that wait go on. After
// a picture that took long it may leave the next one due for a while. now: it is made all the same.
func (l *loop) endTurn(now bool) {
	p := &l.picture
	if l.owed() {
		began := time.Now()
		if !now && began.Before(p.due) && !l.s.published.Wanted() {
			l.timerStale = true
			return
		}
		m := l.newPicture()
		l.s.published.Publish(m)
		p.due = time.Time{}
		if took := time.Since(began); took > cheapPicture {
			p.due = began.Add(took + min(took*picturePart, picturePause))
		}
	}
	l.s.published.End()
}

// nextPicture is when one that is owed is due; zero: none is.
func (l *loop) nextPicture() time.Time {
	if !l.owed() {
		return time.Time{}
	}
	return l.picture.due
}

// newPicture makes a picture. The parts of apps that have not changed are those of the one before.
func (l *loop) newPicture() *snapshot.Master {
	p, before := &l.picture, l.s.published.Newest()
	for _, a := range p.apps {
		a.Unshown = false
		if a.Run == nil {
			continue // it is being opened: its first part is made when it is among the apps
		}
		now := l.pictureOf(a)
		p.listing = p.listing || a.Shown == nil || a.Shown.Ended != now.Ended || a.Shown.Goes != now.Goes
		a.Shown = now
	}
	p.apps = p.apps[:0]
	m := &snapshot.Master{
		Name: l.name, KeeperPID: l.estate.Keeper(), StartedAt: l.startedAt, Config: l.config, Stopping: l.state.Stopping(), WasReady: l.state.Ready(),
		Unkept: l.estate.MissingText(), Values: l.values.Known(), Succession: l.estate.Succession(), Apps: make([]*snapshot.App, 0, len(l.apps)),
	}
	for _, a := range l.apps {
		if a.Shown == nil {
			a.Shown = l.pictureOf(a)
		}
		m.Apps = append(m.Apps, a.Shown)
	}
	if before == nil || p.listing || !slices.Equal(p.of, l.apps) {
		p.listed = p.listed[:0]
		for _, r := range l.state.List() {
			p.listed = append(p.listed, l.appOf(r))
		}
	}
	for _, a := range p.listed {
		m.Listed = append(m.Listed, a.Shown)
	}
	p.of, p.epoch, p.unshown, p.listing = append(p.of[:0], l.apps...), l.values.Epoch(), false, false
	return m
}

// pictureOf makes the part of one app, which shares nothing that changes with it.
func (l *loop) pictureOf(a *crew.App) *snapshot.App {
	of := &snapshot.App{
		Name: a.Name, Namespace: a.Config.Namespace, State: a.State(), Pool: a.Pool.Status(),
		OneShot: a.Config.OneShot, Listens: len(a.Config.Listen) > 0, EverReady: a.Run.EverReady(), Ended: a.Ended(), Waiting: a.Run.Waits(), Leaving: a.Leaves(),
		Goes: a.Leaves() && !a.Halted(), Failed: a.Run.Standing() == apps.Lost, Trouble: a.Trouble(), NextRun: a.Run.NextRun(),
		Listen: a.Config.Listen, Restarts: a.History.Restarts, Crashes: a.History.Crashes,
		Rolled: a.History.Rollouts[pool.KindRolloutDone], Aborted: a.History.Rollouts[pool.KindRolloutAborted],
		Cancelled: a.History.Rollouts[pool.KindRolloutCancelled], LastRollout: a.History.LastRollout,
		Previous: releaseOf(0, a.Previous), Sockets: a.Sockets.Set,
		Workers: make([]snapshot.Worker, 0, len(a.Members)), Totals: a.Totals.Shown(),
	}
	of.Release = releaseOf(of.Pool.Generation, a.Generations[of.Pool.Generation])
	if of.Previous != nil && !a.PreviousUntil.IsZero() {
		until := a.PreviousUntil.Round(time.Millisecond)
		of.Previous.Until = &until
	}
	if !a.Ended() {
		of.Listen = a.Listening()
		for _, sight := range a.Sockets.Sights() {
			of.Reaches = append(of.Reaches, snapshot.Address{Address: sight.Address.String(), Why: sight.Why})
		}
		if of.Trouble == "" {
			of.Trouble = of.UnreachableText()
		}
		if of.Trouble == "" {
			of.Trouble = journal.Haste(of.Pool)
		}
	}
	for _, s := range a.History.Slots {
		of.History = append(of.History, snapshot.SlotHistory{Restarts: s.Restarts, LastExit: s.LastExit})
	}
	for id, m := range a.Members {
		w := snapshot.Worker{ID: id, Slot: m.Slot, Ready: m.Talk.Serves(), Unkept: l.estate.Missing(m), Seat: m.Seat.Reader()}
		if m.Worker != nil {
			w.Process, w.Channel = m.Process(), m.Worker
		}
		of.Workers = append(of.Workers, w)
	}
	return of
}

// Snapshot returns what the master knew at the end of the last turn of its loop. While a turn is under way it waits for the end
// of that, so that it has all that the caller can have seen a sign of. It fails with ErrEnded before Run and after it.
func (s *Supervisor) Snapshot(ctx context.Context) (*snapshot.Master, error) {
	select {
	case <-s.started:
	default:
		return nil, ErrEnded
	}
	m, over := s.published.Current()
	if over != nil {
		select {
		case <-over:
			m = s.published.Newest()
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-s.done:
		return nil, ErrEnded
	default:
		return m, nil
	}
}

// Status is what a master runs now: a copy that shares nothing with it.
type Status = snapshot.Status

// Status returns what runs now.
func (s *Supervisor) Status() (Status, error) {
	m, err := s.Snapshot(context.Background())
	if err != nil {
		return Status{}, err
	}
	return m.Status(time.Now()), nil
}
