package master

import (
	"context"
	"reflect"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/filewatch"
)

const (
	// troubleEvery is how often an error of one watch is said at most.
	troubleEvery = time.Minute
)

// filesChanged: files that an app has watched have changed, and it has been quiet
// since.
type filesChanged struct {
	a    *app
	w    *fileWatch
	what string
}

func (f filesChanged) apply(l *loop) {
	if f.a.files == f.w {
		l.decide(apps.FilesChanged{App: f.a.id(), What: f.what})
	}
}

// fileWatch watches the files of one app. Where it fails it says so, and nothing else
// changes.
type fileWatch struct {
	config config.Watch
	cancel context.CancelFunc
}

// setFileWatch watches what an app's config says from now on. Watching ends with
// the app.
func (l *loop) setFileWatch(a *app) {
	if a.files != nil && reflect.DeepEqual(a.files.config, a.config.Watch) {
		return
	}
	a.endFileWatch()
	if len(a.config.Watch.Paths) == 0 || l.state.Stopping() {
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	w := &fileWatch{config: a.config.Watch, cancel: cancel}
	a.files = w
	name, said := a.name, time.Time{}
	trouble := func(err error) {
		if time.Since(said) >= troubleEvery {
			said = time.Now()
			l.logs.Warn().Str("app", name).Err(err).Msg("not all changes of files are noticed")
		}
	}
	changed := func(what string) { l.s.post(filesChanged{a, w, what}) }
	ready := func(folders int) {
		l.logs.Debug().Str("app", name).Int("folders", folders).Msg("watching files")
	}
	l.s.wg.Go(func() { filewatch.Watch(ctx, w.config, ready, changed, trouble) })
}

func (a *app) endFileWatch() {
	if a.files != nil {
		a.files.cancel()
		a.files = nil
	}
}
