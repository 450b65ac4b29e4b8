package master

import (
	"os"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/values"
)

// ofLoop is the loop as the values see it: a values.Loop.
type ofLoop struct{ l *loop }

// ofValues is a message for the values on its way through the inbox.
type ofValues struct{ values.Message }

func (m ofValues) apply(l *loop) { m.Act(l.values) }

func (o ofLoop) Post(m values.Message) bool             { return o.l.s.post(ofValues{m}) }
func (o ofLoop) Go(f func())                            { o.l.s.wg.Go(f) }
func (o ofLoop) Spread(c cache.Change)                  { o.l.crew.Spread(c) }
func (o ofLoop) Introduce()                             { o.l.crew.IntroduceAll() }
func (o ofLoop) Event(level zerolog.Level, e api.Event) { o.l.event(nil, level, e) }

// valueKeeper keeps the files of values in the store, if there is one: a cache.Keep.
type valueKeeper struct{ l *loop }

// Keep returns when the store has f: workers and callers hear of the value after that, so that no value is lost of which a worker has
// seen the epoch, whenever this master is killed. Only values with a file of their own come here.
func (k valueKeeper) Keep(name string, f *os.File) { k.l.estate.StoreNow(name, f) }

func (k valueKeeper) Drop(name string) { k.l.estate.Remove(name) }
