package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/pool"
)

// outer is the loop as what it leaves to the next master sees it: an estate.Loop.
type outer struct{ l *loop }

// ofEstate is a message for the estate on its way through the inbox.
type ofEstate struct{ estate.Message }

func (m ofEstate) apply(l *loop) { m.Act(l.estate) }

func (o outer) Post(m estate.Message) bool                              { return o.l.s.post(ofEstate{m}) }
func (o outer) Done() <-chan struct{}                                   { return o.l.s.done }
func (o outer) Go(f func())                                             { o.l.s.wg.Go(f) }
func (o outer) Later(d time.Duration, m estate.Message)                 { o.l.later(d, ofEstate{m}) }
func (o outer) Apps() []*crew.App                                       { return o.l.apps }
func (o outer) Step(a *crew.App, ev pool.Event)                         { o.l.step(a, ev) }
func (o outer) Event(a *crew.App, level zerolog.Level, e control.Event) { o.l.event(a, level, e) }
func (o outer) Show(a *crew.App)                                        { o.l.show(a) }
func (o outer) Stale()                                                  { o.l.markStale() }
