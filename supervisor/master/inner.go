package master

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/handlers"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/plan"
	"github.com/tinehq/tine/supervisor/pool"
)

// inner is the loop as the packages see it that carry out parts of its work: a crew.Loop.
type inner struct{ l *loop }

// ofCrew is a message for the crew on its way through the inbox.
type ofCrew struct{ crew.Message }

func (m ofCrew) apply(l *loop) { m.Act(l.crew) }

// newCrew makes the crew, the desk and the plans, for which the log is open.
func (l *loop) newCrew() {
	l.handlers = handlers.New(l.s.functions, l.logs)
	l.crew = crew.New(inner{l}, crew.Options{Logs: l.logs, Pins: l.s.pins, Estate: l.estate, Launch: l.s.launch, Values: l.values, Handlers: l.handlers, Inner: l.innerPrefix, Outcomes: l.gates.Outcomes})
	l.desk = desk.New(atDesk{inner{l}}, l.crew, l.logs)
	l.plans = plan.New(planned{atDesk{inner{l}}}, l.s.config.WithDefaults(), plan.Options{
		Folder: l.s.folder, Logs: l.logs, Crew: l.crew, Estate: l.estate, Follow: l.desk.Follow, Values: func(c *config.Config) { l.values.Apply(l.gates.Values(c)) },
	})
}

// innerPrefix makes the folder for the inner sockets of an app.
func (l *loop) innerPrefix(app string) (prefix, why string, err error) {
	return control.InnerFolder(l.name, app, listen.FitsInner)
}

func (i inner) Post(m crew.Message) bool { return i.l.s.post(ofCrew{m}) }

func (i inner) PostUntil(quit <-chan struct{}, m crew.Message) bool {
	select {
	case i.l.s.inbox <- ofCrew{m}:
		return true
	case <-quit:
		return false
	case <-i.l.s.done:
		return false
	}
}

func (i inner) Done() <-chan struct{}                           { return i.l.s.done }
func (i inner) Go(f func())                                     { i.l.s.wg.Go(f) }
func (i inner) Later(d time.Duration, m crew.Message)           { i.l.later(d, ofCrew{m}) }
func (i inner) Context() context.Context                        { return i.l.ctx }
func (i inner) Apps() []*crew.App                               { return i.l.apps }
func (i inner) Decide(ev apps.Event)                            { i.l.decide(ev) }
func (i inner) Yields(a *crew.App) bool                         { return i.l.state.Yields(a.Run) }
func (i inner) Stopping() bool                                  { return i.l.state.Stopping() }
func (i inner) Event(a *crew.App, v zerolog.Level, e api.Event) { i.l.event(a, v, e) }

func (i inner) Noted(a *crew.App, r pool.Record, text string) {
	i.l.desk.Heard(a, r, text)
	if r.Kind == pool.KindRolloutBegin {
		i.l.report.LookSoon() // the rollout may be over before the next look
	}
}

func (i inner) Show(a *crew.App)                    { i.l.picture.Touch(a) }
func (i inner) Stale()                              { i.l.markStale() }
func (i inner) Replaced(m *crew.Worker, why string) { i.l.estate.Replaced(m, why) }
func (i inner) Find(name string) *crew.App          { return i.l.find(name) }

// atDesk is the loop as the desk sees it: a desk.Loop.
type atDesk struct{ inner }

// toDesk is a message for the desk on its way through the inbox.
type toDesk struct{ desk.Message }

func (m toDesk) apply(l *loop) { m.Act(l.desk) }

func (i atDesk) Post(m desk.Message) bool         { return i.l.s.post(toDesk{m}) }
func (i atDesk) Rearm()                           { i.l.timerStale = true }
func (i atDesk) State() *apps.Apps                { return i.l.state }
func (i atDesk) App(id apps.ID) *crew.App         { return i.l.runOf(id) }
func (i atDesk) Changed(a *crew.App)              { i.l.estate.Changed(a) }
func (i atDesk) Resolved(c config.App) config.App { return i.l.plans.Resolved(c) }
func (i atDesk) Given() *crew.Given               { return i.l.estate.Given() }
func (i atDesk) Number(a *crew.App)               { i.l.estate.Number(a) }
func (i atDesk) Enter(a *crew.App) apps.Opened    { return i.l.enter(a)[0] }

// planned is the loop as the one sees it that applies configs: a plan.Loop.
type planned struct{ atDesk }

// ofPlan is a message for the plans on its way through the inbox.
type ofPlan struct{ plan.Message }

func (m ofPlan) apply(l *loop) { m.Act(l.plans) }

func (i planned) Post(m plan.Message) bool             { return i.l.s.post(ofPlan{m}) }
func (i planned) Stale()                               { i.l.markStale() }
func (i planned) App(id apps.ID) *crew.App             { return i.l.byID[id] }
func (i planned) Enter(all ...*crew.App) []apps.Opened { return i.l.enter(all...) }
