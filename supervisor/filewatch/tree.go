package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/tinehq/tine/supervisor/config"
)

// maxWatched bounds the folders that one app has watched.
const maxWatched = 10_000

// watchTree holds what one Watch watches. The system watches folders and not paths, so each folder that a path of the config
// leads through is watched for that entry, and the folder that it leads to with all below it. Changes on the way are followed.
type watchTree struct {
	watcher *fsnotify.Watcher
	ignore  []string
	paths   []*watchedPath
	watched map[string]bool // folders, by their real paths
	trouble func(error)
}

func newWatchTree(w *fsnotify.Watcher, c config.Watch, trouble func(error)) *watchTree {
	t := &watchTree{watcher: w, ignore: c.Ignore, watched: map[string]bool{}, trouble: trouble}
	for _, p := range c.Paths {
		w, err := newWatchedPath(p)
		if err != nil {
			trouble(fmt.Errorf("cannot watch: %w", err))
			continue
		}
		t.paths = append(t.paths, w)
		some, err := t.follow(w)
		switch {
		case err != nil:
			trouble(fmt.Errorf("cannot watch %s yet, but as soon as it is there: %w", w, err))
		case w.pattern != "" && !some:
			trouble(fmt.Errorf("nothing matches %s yet", w))
		}
	}
	return t
}

// follow watches the place where a path leads now. some says that a file that counts is there.
func (t *watchTree) follow(w *watchedPath) (some bool, err error) {
	for range 5 { // until nothing has changed on the way since the folders are watched
		err = w.follow()
		steps, real := w.steps, w.real
		for i, step := range w.steps {
			if deepWatch || i >= len(w.steps)-2 {
				t.add(filepath.Dir(step), i < len(w.steps)-1)
			}
		}
		if s, r, _ := lookUp(w.path, readlink); slices.Equal(s, steps) && r == real {
			break
		}
	}
	if err != nil || w.folder {
		if err == nil {
			some = t.folder(w.real)
		}
		return some, err
	}
	return true, nil
}

// moved follows all paths that lead through an entry anew, and forgets the folders that were there. It reports whether one of
// the paths leads to something else now.
func (t *watchTree) moved(entry string, appeared bool) (changed bool) {
	t.drop(entry)
	for _, w := range t.paths {
		if !slices.Contains(w.steps, entry) {
			continue
		}
		file := w.real != "" && !w.folder
		_, err := t.follow(w)
		// What vanishes may be about to be made anew: a folder counts when it is there again.
		changed = changed || err == nil && appeared || err != nil && file
	}
	t.sweep()
	return changed
}

// drop ends the watching of a folder and of all below it: another may be there now.
func (t *watchTree) drop(folder string) {
	for f := range t.watched {
		if f == folder || strings.HasPrefix(f, folder+"/") {
			t.forget(f)
		}
	}
}

// sweep ends the watching of folders to which no path leads any more.
func (t *watchTree) sweep() {
	needed := map[string]bool{}
	for _, w := range t.paths {
		for _, step := range w.steps {
			needed[filepath.Dir(step)] = true
		}
	}
	for f := range t.watched {
		if !needed[f] && !slices.ContainsFunc(t.paths, func(w *watchedPath) bool { return w.folder && liesIn(w.real, f) }) {
			t.forget(f)
		}
	}
}

func (t *watchTree) forget(folder string) {
	delete(t.watched, folder)
	_ = t.watcher.Remove(folder) // it may have ended with the folder
}

func liesIn(root, p string) bool { return p == root || root == "/" || strings.HasPrefix(p, root+"/") }

// folder watches a folder with all below it. It reports whether anything that counts is in it.
func (t *watchTree) folder(folder string) (some bool) {
	err := filepath.WalkDir(folder, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // gone again
				t.trouble(fmt.Errorf("cannot watch %s: %w", p, err))
			}
			return nil
		}
		is, on := t.counted(p)
		switch {
		case !e.IsDir():
			some = some || is
			return nil
		case !on:
			return filepath.SkipDir
		case !t.add(p, false):
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil {
		t.trouble(fmt.Errorf("cannot watch %s: %w", folder, err))
	}
	return some
}

// add watches a folder, and reports whether more can be added after it. With aside, for a folder on the way to the end of a path,
// a folder that cannot be read is not an error.
func (t *watchTree) add(folder string, aside bool) bool {
	if t.watched[folder] {
		return true
	}
	if len(t.watched) >= maxWatched {
		t.trouble(fmt.Errorf("cannot watch %s: more than %d folders; ignore those that need not be watched", folder, maxWatched))
		return false
	}
	err := t.watcher.Add(folder)
	switch {
	case err == nil:
		t.watched[folder] = true
		return true
	case errors.Is(err, fs.ErrNotExist), aside && errors.Is(err, fs.ErrPermission):
		return true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE):
		t.trouble(fmt.Errorf("cannot watch %s: a limit of the system is reached (fs.inotify.max_user_watches, max_user_instances, or open files): %w", folder, err))
		return false
	}
	t.trouble(fmt.Errorf("cannot watch %s: %w", folder, err))
	return true
}

// counts reports whether an event is a change that counts. A new folder is watched from now on, and counts if a file is in it
// already.
func (t *watchTree) counts(e fsnotify.Event) bool {
	comes := e.Has(fsnotify.Create)
	moves := comes || e.Has(fsnotify.Remove|fsnotify.Rename)
	if !moves && !e.Has(fsnotify.Write) && !touched(e.Name) {
		return false // only its mode
	}
	onTheWay := slices.ContainsFunc(t.paths, func(w *watchedPath) bool { return slices.Contains(w.steps, e.Name) })
	if onTheWay && moves {
		return t.moved(e.Name, comes)
	}
	if onTheWay && slices.ContainsFunc(t.paths, func(w *watchedPath) bool { return !w.folder && w.real == e.Name }) {
		return true
	}
	is, on := t.counted(e.Name)
	if moves && t.watched[e.Name] {
		t.drop(e.Name)
	}
	if !on {
		return false // beside a file that is watched; or to be ignored
	}
	if comes {
		if info, err := os.Lstat(e.Name); err == nil && info.IsDir() {
			return t.folder(e.Name)
		}
	}
	return is && !t.isRoot(e.Name)
}

// touched reports whether the time of a file was set to now, as touch(1) does to ask for a restart. The event says no more than
// that an attribute of the file has changed.
func touched(file string) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()).Abs() < 2*time.Second
}

func (t *watchTree) isRoot(p string) bool {
	return slices.ContainsFunc(t.paths, func(w *watchedPath) bool { return w.folder && w.real == p })
}

// counted reports whether a file counts, and whether one below it may: by the folders that the paths lead to, their patterns and
// what is to be ignored.
func (t *watchTree) counted(p string) (is, on bool) {
	for _, w := range t.paths {
		if !w.folder || !liesIn(w.real, p) {
			continue
		}
		rel, err := filepath.Rel(w.real, p)
		if err != nil {
			continue
		}
		if rel == "." {
			return w.pattern == "", true
		}
		rel = filepath.ToSlash(rel)
		i, o := w.has(rel)
		if ignored(rel, t.ignore) {
			continue
		}
		is, on = is || i, on || o
	}
	return is, on
}
