package master

import (
	"context"
	"os"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/estate"
)

// The loop's part of the cached values, which [cache.Values] owns: it runs the sources, and sends changes to the workers.

// source is one that is asked again and again, in a goroutine of its own.
type source struct {
	config config.CacheValue
	feed   *cache.Feed
	cancel context.CancelFunc
}

// valueKeeper keeps values where all the rest is kept, if it is.
type valueKeeper struct{ l *loop }

// Keep returns when the store has f: workers and callers hear of the value after that, so that no value is lost of which a worker
// has seen the epoch, whenever this master is killed. Only values with a file of their own come here. A store that does
// not answer is waited for as long as for a handover, and no longer.
func (k valueKeeper) Keep(name string, f *os.File) {
	k.l.estate.StoreNow(name, f)
}

func (k valueKeeper) Drop(name string) { k.l.estate.Remove(name) }

// openValues goes on with the values of the master before, if it has left some, but for those whose sources are not in the config
// any more. It comes before the sources are started.
func (l *loop) openValues(files map[string]*os.File, k cache.Keep) {
	if prepare := l.values.Open(&l.logs.Logger, files, k); prepare != nil {
		l.s.wg.Go(prepare)
	}
	for _, key := range l.values.Orphans(func(key string) bool {
		return slices.ContainsFunc(l.config.Cache, func(v config.CacheValue) bool { return v.Key == key })
	}) {
		l.delete(key)
	}
}

// inheritedValues takes the files of values out of what the last master has left. Of several of one name the last one counts.
func (l *loop) inheritedValues() map[string]*os.File {
	values := map[string]*os.File{}
	for name, files := range l.s.inherited {
		if !cache.IsFile(name) || len(files) == 0 {
			continue
		}
		delete(l.s.inherited, name)
		last := len(files) - 1
		estate.CloseFiles(files[:last])
		values[name] = files[last]
	}
	return values
}

// shareOfValues is how many values may have a memory file, of which RLIMIT_NOFILE.
func (s *Supervisor) shareOfValues() (files, limit int) {
	share := s.descriptors()
	return share.Values, share.Limit
}

func (l *loop) startSources(values []config.CacheValue) {
	for _, v := range values {
		l.startSource(v, true)
	}
	l.values.Await(time.Now())
	l.timerStale = true
	l.introduceInTime(time.Now())
}

// startSource begins to ask at once. resume is for the start of a master.
func (l *loop) startSource(v config.CacheValue, resume bool) {
	ctx, cancel := context.WithCancel(l.ctx)
	from := sourceOf(v)
	feed, before := l.values.Begin(v.Key, from, resume)
	l.sources[v.Key] = &source{config: v, feed: feed, cancel: cancel}
	run := cache.Job{Key: v.Key, Source: from, Every: v.Every, Timeout: v.Timeout, Jitter: v.Jitter, Known: before != nil}
	l.s.wg.Go(func() {
		if before != nil {
			before.Prepare() // what the source returns is compared with it
			before.Release()
		}
		cache.RunJob(ctx, run, func(r cache.Result) {
			if !l.s.post(sourceResult{feed, r}) && r.Payload != nil {
				r.Payload.Release()
			}
		})
	})
}

func (l *loop) stopSource(key string) {
	l.sources[key].cancel()
	delete(l.sources, key)
	l.values.End(key)
}

// sourceOf makes the source of a value as the config has it.
func sourceOf(v config.CacheValue) cache.Source {
	switch {
	case v.Func != nil:
		return cache.Func(v.Func)
	case len(v.Exec) > 0:
		var env []string
		for key, value := range v.Env {
			env = append(env, key+"="+value)
		}
		return cache.Exec(v.Exec, v.Dir, env)
	case v.File != "":
		return cache.File(v.File)
	default:
		return cache.SQL(v.SQL.Driver, v.SQL.DSN, v.SQL.Query)
	}
}

// sourceResult is what a source has yielded.
type sourceResult struct {
	feed   *cache.Feed
	result cache.Result
}

func (r sourceResult) apply(l *loop) {
	c, changed, failed := l.values.Fetched(time.Now(), r.feed, r.result)
	if failed != nil {
		l.valueEvent(zerolog.WarnLevel, control.EventValueFailed, r.result.Key, failed.Error())
	}
	if changed {
		l.spread(c)
	}
	l.introduceInTime(time.Now())
}

// nextValues is when the first workers get the values though a source has not answered; zero: they have them.
func (l *loop) nextValues() time.Time {
	if l.snapshot {
		return time.Time{}
	}
	return l.values.Deadline()
}

// introduceInTime lets the workers that were spawned meanwhile have the values and a slot, if it is time to.
func (l *loop) introduceInTime(now time.Time) {
	if l.snapshot || !l.values.Complete(now) {
		return
	}
	l.snapshot = true
	waiting := l.wantSnapshot
	l.wantSnapshot = nil
	for _, m := range waiting {
		l.introduce(m)
	}
}

// set gives a key a value, and returns its epoch. It takes over payload.
func (l *loop) set(key string, payload *ipc.Payload, source string) (uint64, error) {
	c, changed, err := l.values.Set(time.Now(), key, payload, source)
	if changed {
		l.spread(c)
	}
	return c.Epoch, err
}

func (l *loop) delete(key string) uint64 {
	c, changed := l.values.Delete(time.Now(), key)
	if changed {
		l.spread(c)
	}
	return c.Epoch
}

// spread queues a change for every worker that has the snapshot. One that does not
// read keeps one pending change a key and costs the others nothing.
func (l *loop) spread(c cache.Change) {
	for m := range l.members() {
		if err := m.SendValue(c.Frame()); err != nil {
			continue // its channel has ended; the message that tells so is on its way
		}
	}
	if c.Payload == nil {
		l.valueEvent(zerolog.InfoLevel, control.EventValueDeleted, c.Key, "")
	} else {
		l.valueEvent(zerolog.DebugLevel, control.EventValueSet, c.Key, "")
	}
}

// sameSource reports whether b asks what a asks, so that the source that runs may go on. Functions
// are the same when they are one value: two closures of the same code may ask for
// different things.
func sameSource(a, b config.CacheValue) bool {
	if !sameFunc(a.Func, b.Func) {
		return false
	}
	a.Func, b.Func = nil, nil
	return reflect.DeepEqual(a, b)
}

// sameFunc compares what two function values point to, which is one thing for a
// function and another for each closure. (reflect's Pointer is that of the code,
// which closures share.)
func sameFunc[F any](a, b F) bool {
	return *(*unsafe.Pointer)(unsafe.Pointer(&a)) == *(*unsafe.Pointer)(unsafe.Pointer(&b))
}
