package master

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/above"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/gateways"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/plan"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/signals"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/values"
	"github.com/tinehq/tine/supervisor/wake"
)

// endTimeout bounds the wait, after the last worker has gone, for the goroutines
// that read its last output.
const endTimeout = 2 * time.Second

// loop is the one goroutine that owns everything below: it takes one message at a
// time, gives the facts in it to the cores, and carries out what they order.
// Nothing in it waits for a process, a disk or a network.
type loop struct {
	s      *Supervisor
	logs   *logs.Logs
	crew   *crew.Crew
	estate *estate.Estate
	apps   []*crew.App
	name   string // of the master

	values *values.Values
	gates  *gateways.Gateways
	agenda wake.Agenda[message]

	state    *apps.Apps            // decides between the apps
	byID     map[apps.ID]*crew.App // apps, and those before whose hooks run
	facts    []apps.Event          // that are to be given to state
	deciding bool                  // state was given one, and what follows is being carried out
	end      *apps.Done            // the last that it has ordered; nil: this master goes on

	handlers   *handlers.Handlers // the program's own functions
	plans      *plan.Planner
	wakeup     *wake.Alarm
	timerStale bool            // a core was stepped since it was set
	ctx        context.Context // of the sources; ends with the loop
	cancel     context.CancelFunc
	desk       *desk.Desk // the orders under way
	picture    *snapshot.Maker[*crew.App]
	startedAt  time.Time
	report     *above.Report // nil: there is no process above to tell
}

func newLoop(s *Supervisor) *loop {
	l := &loop{s: s, startedAt: time.Now(), byID: map[apps.ID]*crew.App{}}
	l.state = apps.New(apps.Limits{StopDelay: s.config.StopDelay, StopTimeout: max(s.config.StopTimeout, 0)})
	l.values = values.New(ofLoop{l}, func() (files, limit int) {
		share := s.descriptors()
		return share.Values, share.Limit
	})
	l.gates = gateways.New(s.published.Newest)
	l.estate = estate.New(outer{l}, estate.Options{
		Config: s.config, Store: s.store, Inherited: s.inherited, Keeper: keeper.PID(), Next: s.nextKeeper, Server: s.server, Values: l.values,
	})
	s.pins = l.estate.Pins()
	l.picture = snapshot.NewMaker(&s.published, sitter{l}, l.values.Values)
	return l
}

func (l *loop) run(ctx context.Context) (err error) {
	config := l.s.config.WithDefaults()
	l.name = config.Name
	// After a crash workers wait for a master, whether it can write its log or not. In an upgrade the old one goes on.
	waited := len(l.s.inherited[succession.StateFile]) > 0 && l.s.lead == nil
	l.logs, err = logs.Open(config.Log, l.s.stdout, l.s.stderr, !waited)
	if err != nil {
		return err
	}
	if name := l.s.config.Name; name != "" {
		l.logs.Logger = l.logs.With().Str("master", name).Logger()
	}
	l.s.logs = l.logs
	l.newCrew()
	l.estate.Use(l.crew, l.logs)
	l.s.server.LogTo(l.logs.With().Logger())
	defer l.logs.Close()
	follows := l.s.inCharge != nil // another master, which lives: see succession.go
	if err := l.logs.SetApps(config.Apps, !waited && !follows); err != nil {
		return err
	}
	stopControl := func() {}
	defer func() { // when all else has ended, but for the log
		l.logs.Book.Close()
		stopControl()
	}()
	// The reader of the log may go away; that must not take the service along.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes) // the program around may do as it likes then
	defer watchSignals(l.s)()
	defer signals.WatchUpgrade(l.s.upgradeSignal, l.s.upgradeBySignal)()
	if !follows {
		l.openReport()
	}
	// A master that fails before it has begun is started again if workers of a master before it wait.
	orderly := l.s.store != nil && len(l.s.inherited[succession.StateFile]) == 0
	defer func() { l.report.Close(orderly) }()
	defer l.estate.Close()
	l.estate.TakeGiven(config)
	defer l.estate.CloseInherited()
	if err := l.takeOver(ctx); err != nil {
		return err
	}
	if !follows {
		l.estate.Start()
	}
	if config, err = l.inherit(config, follows); err != nil {
		return err
	}
	defer l.closeSockets()
	if err := l.tookOver(ctx); err != nil {
		return err
	}
	if follows {
		l.estate.Start()
	}
	l.estate.TakeSockets()

	l.ctx, l.cancel = context.WithCancel(context.Background())
	defer l.waitForGoroutines()
	defer l.cancel()
	defer l.values.Close()
	l.handlers.Start(l.ctx, l.s.wg.Go)
	defer l.handlers.Close()

	l.wakeup = wake.NewAlarm()
	defer l.wakeup.Stop()
	close(l.s.started)
	// Deferred last, so it runs first: done is closed before goroutines are waited for, or those that are blocked in post would
	// never return.
	defer func() {
		close(l.s.done)
		l.s.server.EndUpgrades()
		l.s.book.Close()
	}()
	stopControl = l.s.server.Start(serve.Inherited{Files: l.s.inherited, Store: l.s.store})
	l.gates.LogTo(&l.logs.Logger)
	l.values.Start(l.ctx, &l.logs.Logger, l.gates.Values(config), values.TakeFiles(l.s.inherited), valueKeeper{l})
	l.timerStale = true
	if l.estate.Adopted() {
		wasReady := l.state.Ready()
		l.estate.Resume(l.startedAt)
		if wasReady {
			close(l.s.ready)
		}
		l.tellAdopted()
		if !l.estate.EndLost() {
			l.goOnWith(config)
			l.lookForDraft(config)
		}
		l.decide(apps.Resumed{})
	} else {
		l.decide(apps.Begin{Runs: l.enter(l.apps...)})
	}
	l.estate.WatchKeeper()
	stop := ctx.Done()
	for !l.estate.Left() && l.end == nil {
		l.crew.SteerInTime(len(l.s.inbox) > 0)
		l.estate.SaveInTime(len(l.s.inbox) > 0)
		now := time.Now()
		l.timerStale = l.picture.EndTurn(l.report.IsDue(now)) || l.timerStale
		l.gates.Pictured(l.s.published.Newest())
		l.tell(now)
		l.estate.Tick(now)
		if l.timerStale {
			l.setTimer()
		}
		select {
		case m := <-l.s.inbox:
			l.s.published.Begin()
			l.noticePause()
			m.apply(l)
		case <-l.wakeup.C():
			l.s.published.Begin()
			l.noticePause()
			l.timerStale = true
			for _, a := range l.apps {
				if d := a.Deadline; !d.IsZero() && !d.After(time.Now()) {
					l.step(a, pool.Tick{})
				}
			}
			l.doLater(time.Now())
			l.values.Tick(time.Now())
			l.decide(apps.Tick{})
			l.crew.Tick(time.Now())
		case <-l.estate.News():
			l.s.published.Begin()
			l.estate.Hear()
		case <-stop:
			stop = nil
			l.s.published.Begin()
			stopOrder{reason: context.Cause(ctx).Error()}.apply(l)
		}
		l.desk.Judge()
	}
	// The keeper is told that a master which has handed over leaves for good. systemd might take it for the service.
	orderly = !l.estate.Left() || l.estate.Keeper() != 0
	if l.estate.Left() {
		l.logs.Info().Msg("another master is in charge; this one leaves")
		return ErrUpgraded
	}
	l.estate.RemoveAll()
	if l.end.Code != 0 {
		return &ExitError{Code: l.end.Code, App: l.end.App, Reason: l.end.Reason}
	}
	return nil
}

// open opens every app, or none.
func (l *loop) open(c *config.Config) error {
	for _, config := range c.Apps {
		a, err := crew.Open(config, nil, l.estate.Given(), l.estate.Pins())
		if err != nil {
			l.closeSockets()
			return err
		}
		a.Sockets.Use()
		l.estate.Number(a)
		l.apps = append(l.apps, a)
	}
	return nil
}

func (l *loop) closeSockets() {
	if l.estate.Left() {
		l.estate.LeaveSockets()
		return
	}
	for _, a := range l.apps {
		if !a.Ended() {
			a.Sockets.Release()
		}
	}
}

// waitForGoroutines lets the readers and pumps of the workers end. One that does
// not, because a stranger holds a worker's stdout open, is left to the process's
// end.
func (l *loop) waitForGoroutines() {
	if l.estate.Left() {
		return // those of the workers last as long as this process
	}
	ended := make(chan struct{})
	go func() { l.s.wg.Wait(); close(ended) }()
	timeout := time.After(l.patienceAtEnd(endTimeout))
	for {
		select {
		case m := <-l.s.inbox:
			// Posted at the very end: what a message owns is given up.
			var owns any
			switch m := m.(type) {
			case ofCrew:
				owns = m.Message
			case toDesk:
				owns = m.Message
			case ofPlan:
				owns = m.Message
			}
			if o, ok := owns.(interface{ Drop() }); ok {
				o.Drop()
			}
		case <-ended:
			return
		case <-timeout:
			l.logs.Warn().Msg("a worker's output or channel is still open in another process; not waiting for it")
			return
		}
	}
}

// patienceAtEnd bounds d by the time that a stop has left.
func (l *loop) patienceAtEnd(d time.Duration) time.Duration {
	_, endBy := l.state.StopTimes()
	if endBy.IsZero() {
		return d
	}
	return min(d, max(time.Until(endBy)-apps.LastMoment/2, apps.LastMoment/5))
}

// step gives one event to an app's pool and carries out the effects that follow.
func (l *loop) step(a *crew.App, ev pool.Event) { l.crew.Step(a, ev) }

// find returns the app of that name that is to stay, or nil.
func (l *loop) find(name string) *crew.App { return l.appOf(l.state.Find(name)) }

// appOf is the app of a run of the core; nil for none.
func (l *loop) appOf(r *apps.Run) *crew.App {
	if r == nil {
		return nil
	}
	return l.byID[r.ID()]
}

// runOf is the app of that run; nil if there is none any more.
func (l *loop) runOf(id apps.ID) *crew.App {
	if a := l.byID[id]; a != nil && a.Run != nil {
		return a
	}
	return nil
}

// listed is the app that goes by a name now, whether it runs or not; nil if none does.
func (l *loop) listed(name string) *crew.App { return l.appOf(l.state.Listed(name)) }

// each calls f for the running app of that name, or for all of them for "".
func (l *loop) each(name string, f func(*crew.App)) {
	for _, a := range l.apps {
		if !a.Ended() && (name == "" || name == a.Name) {
			f(a)
		}
	}
}
