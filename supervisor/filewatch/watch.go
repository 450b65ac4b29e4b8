package filewatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/tinehq/tine/supervisor/config"
)

// Watch watches the files of c, which has its defaults and absolute paths, until ctx ends. All functions are called from the
// calling goroutine, and changes wait while one of them runs: ready once, when all that exists is watched, with the number of
// folders;
// changed after each row of changes, with the files in words; trouble with what cannot be watched, while the rest is, and if
// files change again and again. If the system cannot watch files at all, Watch calls trouble and returns.
func Watch(ctx context.Context, c config.Watch, ready func(folders int), changed func(what string), trouble func(error)) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		trouble(fmt.Errorf("cannot watch files: %w", err))
		return
	}
	defer w.Close()
	t := newWatchTree(w, c, trouble)
	ready(len(t.watched))
	d := debounce{quiet: c.Debounce}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if t.counts(e) {
				d.add(time.Now(), e.Name)
				timer.Reset(time.Until(d.deadline()))
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				d.add(time.Now(), "more files than could be told")
				timer.Reset(time.Until(d.deadline()))
				continue
			}
			trouble(err)
		case <-timer.C:
			if !d.first.IsZero() {
				what, storm := d.take(time.Now())
				changed(what)
				if storm {
					trouble(fmt.Errorf("%s has changed %d times in a row, shortly after each other: changes are told more and more slowly; what the app writes itself is to be ignored", what, stormFree))
				}
			}
		}
	}
}
