package master

import (
	"context"
	"reflect"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/filewatch"
)

const (
	// troubleEvery is how often an error of one watch is said at most.
	troubleEvery = time.Minute
)

// filesChanged: files that an app has watched have changed, and it has been quiet
// since.
type filesChanged struct {
	a    *crew.App
	w    *crew.FileWatch
	what string
}

func (f filesChanged) apply(l *loop) {
	if f.a.Files == f.w {
		l.decide(apps.FilesChanged{App: f.a.ID(), What: f.what})
	}
}

// setFileWatch watches what an app's config says from now on. Watching ends with
// the app.
func (l *loop) setFileWatch(a *crew.App) {
	if a.Files != nil && reflect.DeepEqual(a.Files.Config, a.Config.Watch) {
		return
	}
	a.EndFileWatch()
	if len(a.Config.Watch.Paths) == 0 || l.state.Stopping() {
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	w := &crew.FileWatch{Config: a.Config.Watch, Cancel: cancel}
	a.Files = w
	name, said := a.Name, time.Time{}
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
	l.s.wg.Go(func() { filewatch.Watch(ctx, w.Config, ready, changed, trouble) })
}
