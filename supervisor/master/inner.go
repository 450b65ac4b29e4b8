package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/pool"
)

// inner is the loop as the packages see it that carry out parts of its work: a crew.Loop.
type inner struct{ l *loop }

// ofCrew is a message for the crew on its way through the inbox.
type ofCrew struct{ crew.Message }

func (m ofCrew) apply(l *loop) { m.Act(l.crew) }

func (i inner) Post(m crew.Message) bool                            { return i.l.s.post(ofCrew{m}) }
func (i inner) Done() <-chan struct{}                               { return i.l.s.done }
func (i inner) Go(f func())                                         { i.l.s.wg.Go(f) }
func (i inner) Later(d time.Duration, m crew.Message)               { i.l.later(d, ofCrew{m}) }
func (i inner) Apps() []*crew.App                                   { return i.l.apps }
func (i inner) Step(a *crew.App, ev pool.Event)                     { i.l.step(a, ev) }
func (i inner) Event(a *crew.App, v zerolog.Level, e control.Event) { i.l.event(a, v, e) }
func (i inner) Touched(a *crew.App)                                 { i.l.touched(a) }
func (i inner) Changed(a *crew.App)                                 { i.l.changed(a) }
func (i inner) TouchedWorker(m *crew.Worker)                        { i.l.touchedWorker(m) }
