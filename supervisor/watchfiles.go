package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
)

const (
	// maxWatched bounds the folders that one app has watched.
	maxWatched = 10_000
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
	if f.a.files != f.w || f.a.leaving || l.stopping {
		return
	}
	reason := "watch: " + f.what
	l.event(f.a, zerolog.InfoLevel, control.Event{Kind: "watch", Reason: reason, Message: "files of app " + f.a.name + " have changed: " + f.what})
	l.renew(f.a, reason)
}

// fileWatch watches the files of one app. Where it fails it says so, and nothing else
// changes.
type fileWatch struct {
	config Watch
	cancel context.CancelFunc
}

// setFileWatch watches what an app's config says from now on. Watching ends with
// the app.
func (l *loop) setFileWatch(a *app) {
	if a.files != nil && reflect.DeepEqual(a.files.config, a.config.Watch) {
		return
	}
	a.endFileWatch()
	if len(a.config.Watch.Paths) == 0 || l.stopping {
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
	l.s.wg.Go(func() { watchFiles(ctx, w.config, ready, changed, trouble) })
}

func (a *app) endFileWatch() {
	if a.files != nil {
		a.files.cancel()
		a.files = nil
	}
}

// watchFiles calls changed after each row of changes, until ctx ends. ready is called
// when all that is there is watched, with the number of folders. trouble is called with
// what cannot be watched; the rest is.
func watchFiles(ctx context.Context, c Watch, ready func(folders int), changed func(what string), trouble func(error)) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		trouble(fmt.Errorf("cannot watch files: %w", err))
		return
	}
	defer w.Close()
	t := &watchTree{watcher: w, ignore: c.Ignore, roots: map[string]bool{}, files: map[string]bool{}, trouble: trouble}
	for _, p := range c.Paths {
		t.root(p)
	}
	ready(len(w.WatchList()))
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
				changed(d.take())
			}
		}
	}
}

// watchTree is what one watch looks at.
type watchTree struct {
	watcher *fsnotify.Watcher
	ignore  []string
	roots   map[string]bool // folders that the config names
	files   map[string]bool // files that it names; their folders are watched, for an editor may replace a file
	trouble func(error)
}

// root adds one path of the config.
func (t *watchTree) root(p string) {
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		t.trouble(fmt.Errorf("cannot watch: %w", err))
		return
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		t.trouble(fmt.Errorf("cannot watch: %w", err))
	case info.IsDir():
		t.roots[real] = true
		t.folder(real)
	default:
		// By its own name too: a symlink may be turned.
		for _, name := range []string{p, real} {
			if abs, err := filepath.Abs(name); err == nil {
				t.files[abs] = true
				t.add(filepath.Dir(abs))
			}
		}
	}
}

// folder watches a folder with all below it. It says whether anything that counts is
// in it.
func (t *watchTree) folder(folder string) (some bool) {
	err := filepath.WalkDir(folder, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // gone again
				t.trouble(fmt.Errorf("cannot watch %s: %w", p, err))
			}
			return nil
		}
		if !t.roots[p] && t.ignores(p) {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !e.IsDir() {
			some = true
			return nil
		}
		if !t.add(p) {
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil {
		t.trouble(fmt.Errorf("cannot watch %s: %w", folder, err))
	}
	return some
}

// add says whether more can be added after this one.
func (t *watchTree) add(folder string) bool {
	if len(t.watcher.WatchList()) >= maxWatched {
		t.trouble(fmt.Errorf("cannot watch %s: more than %d folders; ignore those that need not be watched", folder, maxWatched))
		return false
	}
	err := t.watcher.Add(folder)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE):
		t.trouble(fmt.Errorf("cannot watch %s: a limit of the system is reached (fs.inotify.max_user_watches, max_user_instances, or open files): %w", folder, err))
		return false
	}
	t.trouble(fmt.Errorf("cannot watch %s: %w", folder, err))
	return true
}

// counts says whether an event is a change. A new folder is watched from now on, and
// counts if something is in it already, which may have been written before.
func (t *watchTree) counts(e fsnotify.Event) bool {
	if !e.Has(fsnotify.Create|fsnotify.Write|fsnotify.Remove|fsnotify.Rename) && !touched(e.Name) {
		return false // only its mode
	}
	if t.files[e.Name] {
		return true
	}
	if t.below(e.Name) == "" || t.ignores(e.Name) {
		return false // beside a file that is watched; or to be ignored
	}
	if e.Has(fsnotify.Create) {
		if info, err := os.Lstat(e.Name); err == nil && info.IsDir() {
			return t.folder(e.Name)
		}
	}
	return true
}

// touched says whether the time of a file was set to now, which is how people ask for
// a restart. The system tells no more than that something about the file changed.
func touched(file string) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()).Abs() < 2*time.Second
}

// below is the path of a file below the root that it is in; "" if it is in none.
func (t *watchTree) below(p string) string {
	for root := range t.roots {
		if rel, err := filepath.Rel(root, p); err == nil && rel != "." && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return ""
}

func (t *watchTree) ignores(p string) bool {
	for root := range t.roots {
		if rel, err := filepath.Rel(root, p); err == nil && filepath.IsLocal(rel) && ignored(filepath.ToSlash(rel), t.ignore) {
			return true
		}
	}
	return false
}
