package supervisor

import (
	"context"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
)

// firstValues is how long the first workers wait for the first result of every
// source. A slower one is broadcast when it comes, as every later value is.
const firstValues = time.Second

// job is one source that the master asks again and again.
type job struct {
	config  config.CacheValue
	source  cache.Source
	cancel  context.CancelFunc
	fetched bool // it had its first result, good or bad
	failing bool // its last result was bad: said once, not every few seconds

	failures uint64 // bad results
}

func (l *loop) startSources(values []config.CacheValue) {
	for _, v := range values {
		l.startSource(v, true)
	}
	if l.allFetched() {
		l.releaseSnapshot()
		return
	}
	time.AfterFunc(firstValues, func() { l.s.post(snapshotOverdue{}) })
}

// startSource begins to ask at once. At the start of a master a value that the one before had from this very source counts as its
// first result.
func (l *loop) startSource(v config.CacheValue, start bool) {
	ctx, cancel := context.WithCancel(l.ctx)
	j := &job{config: v, source: sourceOf(v), cancel: cancel}
	var before *ipc.Payload
	if j.fetched = start && l.restored(v.Key, j.source); j.fetched {
		before, _ = l.store.Get(v.Key)
		before.Retain()
	}
	l.jobs[v.Key] = j
	run := cache.Job{Key: v.Key, Source: j.source, Every: v.Every, Timeout: v.Timeout, Jitter: v.Jitter, Known: j.fetched}
	l.s.wg.Go(func() {
		if before != nil {
			before.Prepare() // what the source returns is compared with it
			before.Release()
		}
		cache.RunJob(ctx, run, func(r cache.Result) {
			if !l.s.post(sourceResult{j, r}) && r.Payload != nil {
				r.Payload.Release()
			}
		})
	})
}

func (l *loop) stopSource(key string) {
	l.jobs[key].cancel()
	delete(l.jobs, key)
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

func (l *loop) sourceResult(j *job, r cache.Result) {
	if l.jobs[r.Key] != j {
		// Its source was taken out of the config while it was being asked.
		if r.Payload != nil {
			r.Payload.Release()
		}
		return
	}
	j.fetched = true
	if r.Err == nil {
		_, r.Err = l.set(r.Key, r.Payload, j.source.String())
	}
	if r.Err != nil {
		l.store.Fail(time.Now(), r.Key, r.Err)
		if !j.failing {
			l.valueEvent(zerolog.WarnLevel, control.EventValueFailed, r.Key, r.Err.Error())
			l.logs.Warn().Str("key", r.Key).Err(r.Err).Float64("took_ms", ms(r.Took)).Msg("source failed; the last value stays")
		}
		j.failing = true
		j.failures++
	} else {
		if j.failing {
			l.logs.Info().Str("key", r.Key).Msg("source works again")
		}
		j.failing = false
	}
	if !l.snapshot && l.allFetched() {
		l.releaseSnapshot()
	}
}

func (l *loop) allFetched() bool {
	for _, j := range l.jobs {
		if !j.fetched {
			return false
		}
	}
	return true
}

// releaseSnapshot lets the workers that were spawned meanwhile have the values and a
// slot.
func (l *loop) releaseSnapshot() {
	l.snapshot = true
	waiting := l.wantSnapshot
	l.wantSnapshot = nil
	for _, m := range waiting {
		l.introduce(m)
	}
}

// refusedValue says why a key may not have a value.
type refusedValue struct{ key, why string }

func (r refusedValue) Error() string { return fmt.Sprintf("cannot set %.40q: %s", r.key, r.why) }

// fit finds room for a value, and returns it as it is to be kept: one that would have a memory file, when there are as many as
// this process has descriptors for, is held without one if it is short enough for that. It takes over payload.
func (l *loop) fit(key string, payload *ipc.Payload) (*ipc.Payload, error) {
	old, known := l.store.Get(key)
	why := ""
	switch {
	case len(key) == 0 || len(key) > ipc.MaxKey || !utf8.ValidString(key):
		why = fmt.Sprintf("a key is UTF-8 text of 1 to %d bytes", ipc.MaxKey)
	case !known && l.store.Len() >= ipc.MaxSets:
		why = fmt.Sprintf("there are %d cached values already, and a worker can be given no more", l.store.Len())
	case !payload.Mapped() || known && old.Mapped():
		return payload, nil
	default:
		share := l.s.descriptors()
		if l.store.Mapped() < share.Values {
			return payload, nil
		}
		if payload.Len() <= ipc.InlineMax {
			return payload.Inline()
		}
		why = fmt.Sprintf("there are %d values of over %d KiB already, and each takes a file descriptor: at most %d with RLIMIT_NOFILE %d (see tine doctor)",
			l.store.Mapped(), ipc.HeapMax>>10, share.Values, share.Limit)
	}
	payload.Release()
	return nil, refusedValue{key, why}
}

// set stores a value and broadcasts it if it changed. It takes over payload and
// returns the key's epoch.
func (l *loop) set(key string, payload *ipc.Payload, source string) (uint64, error) {
	payload, err := l.fit(key, payload)
	if err != nil {
		return 0, err
	}
	l.published.forget(key) // publish adds its own again
	before := l.store.Source(key)
	change, changed := l.store.Set(time.Now(), key, payload, source)
	if changed || source != before {
		l.values.put(change, source)
	}
	if changed {
		l.spread(change)
		l.valueEvent(zerolog.DebugLevel, control.EventValueSet, key, "")
	}
	return change.Epoch, nil
}

func (l *loop) delete(key string) uint64 {
	l.published.forget(key)
	change, changed := l.store.Delete(time.Now(), key)
	if changed {
		l.values.put(change, "")
		l.spread(change)
		l.valueEvent(zerolog.InfoLevel, control.EventValueDeleted, key, "")
	}
	return change.Epoch
}

// spread queues a change for every worker that has the snapshot. One that does not
// read keeps one pending change a key and costs the others nothing.
func (l *loop) spread(c cache.Change) {
	for m := range l.members() {
		if err := m.outbox.SendValue(c.Frame()); err != nil {
			// Its channel has ended; the message that says so is on its way.
			continue
		}
	}
}

// maxPublished bounds the bytes of all values that workers have set.
const maxPublished = 1 << 30

// published is what the values that workers have set cost. A key belongs to who set
// it last: what the master set itself does not count.
type published struct {
	values map[string]int64 // their bytes
	total  int64
}

// admit says why payload may not become key's value.
func (p *published) admit(key string, payload *ipc.Payload) error {
	if bytes := p.total - p.values[key] + int64(payload.Len()); bytes > maxPublished {
		return fmt.Errorf("the values that workers have published would come to %d bytes, at most %d", bytes, maxPublished)
	}
	return nil
}

// add notes that key's value is payload; forget comes first.
func (p *published) add(key string, payload *ipc.Payload) {
	if p.values == nil {
		p.values = map[string]int64{}
	}
	p.values[key] = int64(payload.Len())
	p.total += int64(payload.Len())
}

func (p *published) forget(key string) {
	p.total -= p.values[key]
	delete(p.values, key)
}

// sameSource says whether b asks what a asks, so that what runs may go on. Functions
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
