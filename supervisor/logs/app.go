package logs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// appLog is the log of one app's workers.
type appLog struct {
	shelf   *book.Shelf
	route   atomic.Pointer[route]
	dropped atomic.Uint64 // lines that on_full: drop has cost
	saidAt  atomic.Int64  // when the log last told of that, in ns since 1970
}

// route says where an app's lines go. It is read-only; a change of the config sets another one while lines come.
type route struct {
	out, err *sink
	json     bool // a line that is not a JSON object becomes one; else it gets a prefix
	drop     bool // a line that finds no room is dropped; else the worker waits
}

// dest returns the sink of one stream of the app.
func (r *route) dest(stream string) *sink {
	if stream == api.StreamStderr {
		return r.err
	}
	return r.out
}

// app returns the log of an app. One that was not configured goes where the master's lines go.
func (l *Logs) app(name string) *appLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appLocked(name)
}

func (l *Logs) appLocked(name string) *appLog {
	a := l.apps[name]
	if a == nil {
		a = &appLog{shelf: l.Book.Shelf(name)}
		a.route.Store(&route{out: l.out, err: l.err, json: l.json})
		l.apps[name] = a
	}
	return a
}

// SetApps sets the logs of these apps to what their configs, which have their defaults, say, and forgets all other apps. Of two
// apps of one name the last counts. Apps that name the same file share it; it is rotated as the first one by name wants it.
// With now the files are opened before it returns, and the error joins those of all that cannot be: these apps keep the log
// that they had. Without now it never waits for a disk, and a file that cannot be opened later is logged.
func (l *Logs) SetApps(apps []config.App, now bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := map[string]config.AppLog{}
	for _, a := range apps {
		wanted[a.Name] = a.Log
	}
	for name := range l.apps {
		if _, ok := wanted[name]; !ok {
			// An outlet that still has lines of it finds its sink closed.
			delete(l.apps, name)
			l.Book.Forget(name)
		}
	}
	files := map[string]*sink{}
	how := map[string]rotation{}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		c := wanted[name]
		a := l.appLocked(name)
		r := &route{out: l.out, err: l.err, json: l.json, drop: c.OnFull == config.OnFullDrop}
		if c.File != "" {
			s := files[c.File]
			if s == nil {
				turn := rotation{c.MaxSize, c.MaxAge, c.Keep, c.Compress}
				var err error
				if s, err = l.fileSink(c.File, turn, now); err != nil {
					failed = append(failed, fmt.Errorf("app %s: %w", name, err))
					continue
				}
				files[c.File], how[c.File] = s, turn
			}
			r.out, r.err, r.json = s, s, l.format != "text"
		}
		a.route.Store(r)
	}
	old := l.files
	l.files, l.turns = files, how
	for path, s := range old {
		if files[path] != s {
			l.closing.Go(func() { _ = s.Close(flushTimeout) })
		}
	}
	return errors.Join(failed...)
}

// fileSink returns the sink of a file: the one that is there if it is rotated as r says, else a new one.
func (l *Logs) fileSink(path string, r rotation, now bool) (*sink, error) {
	if path == l.path {
		return l.err, nil
	}
	if s := l.files[path]; s != nil && l.turns[path] == r {
		return s, nil
	}
	say := func(err error) { l.Error().Err(err).Msg("log file not rotated; the same one is written on") }
	f := newLogFile(path, r, say)
	if now {
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	return l.newFileSink(f, func(why error, lost int) {
		if why != nil {
			l.Error().Str("file", path).Err(why).Msg("log file takes no lines; they are lost until it does")
		} else {
			l.Warn().Str("file", path).Int("lines", lost).Msg("log file takes lines again")
		}
	}), nil
}

func (l *Logs) newFileSink(f *logFile, trouble func(error, int)) *sink {
	s := newSink(f, f.Reopen, l.lostNotice)
	s.mu.Lock()
	s.trouble = trouble
	s.mu.Unlock()
	return s
}

// sayDroppedEvery is the least time between two log lines that tell of an app's dropped lines.
const sayDroppedEvery = 10 * time.Second

// drop counts a line of an app for which its destination had no room. The sink writes the number to the destination as soon as
// that takes something; the master's log has it now.
func (l *Logs) drop(a *appLog) {
	n, now, before := a.dropped.Add(1), time.Now().UnixNano(), a.saidAt.Load()
	if now-before >= int64(sayDroppedEvery) && a.saidAt.CompareAndSwap(before, now) {
		l.Warn().Str("app", a.shelf.App).Uint64("lines", n).Msg("output of workers dropped: the log does not take it as fast, and on_full is drop")
	}
}

// Lines gives yield the kept lines that q chooses: see [book.Lines.Query]. An app that is not there is a *api.Refusal.
func (l *Logs) Lines(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	if q.App != "" {
		l.mu.Lock()
		known := slices.Sorted(maps.Keys(l.apps))
		l.mu.Unlock()
		if !slices.Contains(known, q.App) {
			return api.Unknown("app", q.App, known)
		}
	}
	return l.Book.Query(ctx, q, yield)
}
