package crew

import (
	"context"
	"reflect"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/filewatch"
)

// troubleEvery is how often an error of one watch is logged at most.
const troubleEvery = time.Minute

// fileWatch watches the files of one app. Where it fails, that is logged, and nothing else changes.
type fileWatch struct {
	config config.Watch
	cancel context.CancelFunc
}

// filesChanged: files that an app has watched have changed, and it has been quiet since.
type filesChanged struct {
	app  *App
	of   *fileWatch
	what string
}

func (f filesChanged) Act(c *Crew) {
	if f.app.files == f.of {
		c.loop.Decide(apps.FilesChanged{App: f.app.ID(), What: f.what})
	}
}

// WatchFiles watches what an app's config says from now on, until EndFileWatch.
func (c *Crew) WatchFiles(a *App) {
	if a.files != nil && reflect.DeepEqual(a.files.config, a.Config.Watch) {
		return
	}
	a.EndFileWatch()
	if len(a.Config.Watch.Paths) == 0 || c.loop.Stopping() {
		return
	}
	ctx, cancel := context.WithCancel(c.loop.Context())
	w := &fileWatch{config: a.Config.Watch, cancel: cancel}
	a.files = w
	log, told := c.logs.With().Str("app", a.Name).Logger(), time.Time{}
	trouble := func(err error) {
		if time.Since(told) >= troubleEvery {
			told = time.Now()
			log.Warn().Err(err).Msg("not all changes of files are noticed")
		}
	}
	changed := func(what string) { c.loop.Post(filesChanged{a, w, what}) }
	ready := func(folders int) { log.Debug().Int("folders", folders).Msg("watching files") }
	c.loop.Go(func() { filewatch.Watch(ctx, w.config, ready, changed, trouble) })
}

// EndFileWatch ends the watch of the app's files, if there is one.
func (a *App) EndFileWatch() {
	if a.files != nil {
		a.files.cancel()
		a.files = nil
	}
}
