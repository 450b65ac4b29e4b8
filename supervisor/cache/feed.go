package cache

import (
	"time"

	"github.com/tinehq/tine/ipc"
)

// firstResults is how long the first workers wait for the first result of every source. A value that comes later is sent to
// them as every change is.
const firstResults = time.Second

// Feed is one source that is asked again and again, as [Values] know it: whether it has answered, and how.
type Feed struct {
	source  string
	fetched bool // it had its first result, good or bad
	failing bool // its last result was bad: that is logged once, not every few seconds
}

// Begin notes that a source is asked for a key from now on. With resume, which is for the start of a master, a value that the
// master before had from this very source counts as its first result: before is that value then, with a reference of the
// caller's own, and nil otherwise.
func (v *Values) Begin(key string, source Source, resume bool) (f *Feed, before *ipc.Payload) {
	f = &Feed{source: source.String()}
	v.feeds[key] = f
	p, ok := v.Get(key)
	if resume && ok && v.Source(key) == f.source[:min(len(f.source), MaxSource)] {
		f.fetched = true
		return f, p.Retain()
	}
	return f, nil
}

// End notes that the key's source is asked no more. Its value stays.
func (v *Values) End(key string) { delete(v.feeds, key) }

// Fetched takes in a result of a source, whose payload it takes over. failed is why the source has failed where that is news: it
// worked before, or was not asked yet. A result of a source that has ended meanwhile is dropped.
func (v *Values) Fetched(now time.Time, f *Feed, r Result) (c Change, changed bool, failed error) {
	if v.feeds[r.Key] != f {
		if r.Payload != nil {
			r.Payload.Release()
		}
		return Change{}, false, nil
	}
	f.fetched = true
	if r.Err == nil {
		c, changed, r.Err = v.Set(now, r.Key, r.Payload, f.source)
	}
	if r.Err == nil {
		if f.failing {
			v.log.Info().Str("key", r.Key).Msg("source works again")
		}
		f.failing = false
		return c, changed, nil
	}
	v.fail(r.Key, r.Err)
	if !f.failing {
		v.log.Warn().Str("key", r.Key).Err(r.Err).Float64("took_ms", milliseconds(r.Took)).Msg("source failed; the last value stays")
		failed = r.Err
	}
	f.failing = true
	return Change{}, false, failed
}

// Await begins the time that the first results have.
func (v *Values) Await(now time.Time) { v.awaited = now.Add(firstResults) }

// Deadline is when that time is over.
func (v *Values) Deadline() time.Time { return v.awaited }

// Complete reports whether workers may be given the values: each source had its first result, or its time is over.
func (v *Values) Complete(now time.Time) bool {
	if !v.awaited.IsZero() && !now.Before(v.awaited) {
		return true
	}
	for _, f := range v.feeds {
		if !f.fetched {
			return false
		}
	}
	return true
}

// Orphans are the keys whose values are from a source of the config that is not there any more, in the order of their epochs.
func (v *Values) Orphans(configured func(key string) bool) (keys []string) {
	_, sets := v.Snapshot()
	for _, set := range sets {
		set.Payload.Release()
		if fromConfig(v.Source(set.Key)) && !configured(set.Key) {
			keys = append(keys, set.Key)
		}
	}
	return keys
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
