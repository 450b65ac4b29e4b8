package master

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
)

// outer is the loop as what it leaves to the next master sees it: an estate.Loop.
type outer struct{ l *loop }

// ofEstate is a message for the estate on its way through the inbox.
type ofEstate struct{ estate.Message }

func (m ofEstate) apply(l *loop) { m.Act(l.estate) }

func (o outer) Post(m estate.Message) bool                          { return o.l.s.post(ofEstate{m}) }
func (o outer) Done() <-chan struct{}                               { return o.l.s.done }
func (o outer) Go(f func())                                         { o.l.s.wg.Go(f) }
func (o outer) Apps() []*crew.App                                   { return o.l.apps }
func (o outer) Event(a *crew.App, level zerolog.Level, e api.Event) { o.l.event(a, level, e) }
func (o outer) Context() context.Context                            { return o.l.ctx }
func (o outer) Core() estate.Core                                   { return o.l.state }
func (o outer) App(id apps.ID) *crew.App                            { return o.l.byID[id] }
func (o outer) Listed(name string) *crew.App                        { return o.l.listed(name) }
func (o outer) Config() *config.Config                              { return o.l.plans.Config() }
func (o outer) Rearm()                                              { o.l.timerStale = true }
func (o outer) Show(a *crew.App)                                    { o.l.picture.Touch(a) }
func (o outer) Stale()                                              { o.l.markStale() }
func (o outer) GoOnWith(c *config.Config)                           { o.l.goOnWith(c) }

func (o outer) ActUntil(late <-chan time.Time) bool {
	select {
	case m := <-o.l.s.inbox:
		m.apply(o.l)
		return true
	case <-late:
		return false
	}
}

func (o outer) Ping() time.Duration {
	if o.l.s.published.Newest().Lifeless() == nil {
		o.l.report.Ping()
	}
	return o.l.report.Interval()
}

func (o outer) TakenBack() {
	if o.l.state.Ready() && !o.l.report.Reloading() {
		o.l.tellReady()
	}
}

// What has changed for the next master has also changed for readers.
func (l *loop) changed(a *crew.App) { l.estate.Changed(a) }
func (l *loop) touched(a *crew.App) { l.estate.Touched(a) }
