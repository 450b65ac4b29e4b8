package values

import (
	"context"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/fleet/targets"
)

// source is asked again and again, in a goroutine of its own.
type source struct {
	config config.CacheValue
	cancel context.CancelFunc
}

// begin begins to ask a source at once. resume is for the start of a master.
func (v *Values) begin(c config.CacheValue, resume bool) {
	ctx, cancel := context.WithCancel(v.ctx)
	from := sourceOf(c)
	feed, before := v.Begin(c.Key, from, resume)
	v.sources[c.Key] = &source{config: c, cancel: cancel}
	post := func(r cache.Result) {
		if !v.loop.Post(fetched{feed, r}) && r.Payload != nil {
			r.Payload.Release()
		}
	}
	if c.Fixed != nil {
		if before != nil {
			before.Release() // a result that is the same is known as such when it is set
		}
		r := cache.Result{Key: c.Key}
		r.Payload, r.Err = ipc.NewPayload(c.Fixed)
		v.take(feed, r) // at once: workers that the same config starts go by it
		return
	}
	if c.Live != nil {
		v.loop.Go(func() {
			var last []byte
			if before != nil {
				if b, err := before.Bytes(); err == nil { // a value that cannot be read is as none
					last = slices.Clone(b)
				}
				before.Release()
			}
			c.Live.Run(ctx, last, func(value []byte, err error) {
				r := cache.Result{Key: c.Key, Err: err}
				if err == nil {
					r.Payload, r.Err = ipc.NewPayload(value)
				}
				post(r)
			})
		})
		return
	}
	job := cache.Job{Key: c.Key, Source: from, Every: c.Every, Timeout: c.Timeout, Jitter: c.Jitter, Known: before != nil}
	v.loop.Go(func() {
		if before != nil {
			before.Prepare() // what the source returns is compared with it
			before.Release()
		}
		cache.RunJob(ctx, job, post)
	})
}

// sourceOf makes the source of a value as the config has it.
func sourceOf(c config.CacheValue) cache.Source {
	switch {
	case c.Fixed != nil:
		return cache.Named("config", nil)
	case c.Live != nil:
		return cache.Named(c.Live.Source(), nil) // it is not asked
	case c.Func != nil:
		return cache.Func(c.Func)
	case len(c.Exec) > 0:
		var env []string
		for key, value := range c.Env {
			env = append(env, key+"="+value)
		}
		return cache.Exec(c.Exec, c.Dir, env)
	case c.File != "":
		return cache.File(c.File)
	case len(c.Members) > 0:
		return cache.Named(targets.Source, targets.New(c.Members).Table)
	default:
		return cache.SQL(c.SQL.Driver, c.SQL.DSN, c.SQL.Query)
	}
}

// fetched is a result of a source.
type fetched struct {
	feed   *cache.Feed
	result cache.Result
}

func (f fetched) Act(v *Values) {
	v.take(f.feed, f.result)
	v.Tick(time.Now())
}

// take takes in a result of a source.
func (v *Values) take(f *cache.Feed, r cache.Result) {
	c, changed, failed := v.Fetched(time.Now(), f, r)
	if failed != nil {
		v.event(zerolog.WarnLevel, api.EventValueFailed, r.Key, failed.Error())
	}
	if changed {
		v.spread(c)
	}
}

// sameSource reports whether b asks what a asks, so that the source that runs may go on. Functions are the same when they are one
// value: two closures of the same code may ask for different things.
func sameSource(a, b config.CacheValue) bool {
	if !sameFunc(a.Func, b.Func) || a.Live != b.Live {
		return false
	}
	a.Func, b.Func, a.Live, b.Live = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// sameFunc compares what two function values point to, which is one thing for a function and another for each closure. (reflect's
// Pointer is that of the code, which closures share.)
func sameFunc[F any](a, b F) bool {
	return *(*unsafe.Pointer)(unsafe.Pointer(&a)) == *(*unsafe.Pointer)(unsafe.Pointer(&b))
}
