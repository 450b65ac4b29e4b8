package cache

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
)

const (
	// MaxPublished bounds the bytes of all values that workers have set.
	MaxPublished = 1 << 30
	// maxKeys bounds the keys that there are when a worker adds one.
	maxKeys = 10_000
)

// The origin of a value, as Status shows it and the journal keeps it. Anything else is the text of a source of the config, which
// always has a colon, or is "func".
const (
	// SourceSet is the source of a value that was set by the program or over the control socket.
	SourceSet    = "set"
	sourceWorker = "worker "
)

// workerSource is the source of a value that a worker has published.
func workerSource(id uint64) string { return sourceWorker + strconv.FormatUint(id, 10) }

func fromWorker(source string) bool {
	id, ok := strings.CutPrefix(source, sourceWorker)
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(id, 10, 64)
	return err == nil
}

func fromConfig(source string) bool { return source != SourceSet && !fromWorker(source) }

// Values owns the cached values of a master: the values, their bounds, the sources that are asked for them, and what the next
// master goes on from. One goroutine, the supervisor's loop, calls its methods; none of them waits for a disk or a network.
//
// A method that changes a value returns the [Change], which the caller sends to every worker. The change has been written
// for the next master by then, so that no worker sees an epoch that comes a second time, for another value.
type Values struct {
	store
	log       *zerolog.Logger
	share     func() (files, limit int)
	archive   *archive // nil before Open
	published published
	feeds     map[string]*Feed // by key
	awaited   time.Time        // until when the first result of each source is waited for
}

// NewValues returns a set without a value. share is called when a value needs a memory file: files is how many values may have
// one, and limit the RLIMIT_NOFILE that this is a part of, for the text of the refusal.
func NewValues(share func() (files, limit int)) *Values {
	nop := zerolog.Nop()
	return &Values{log: &nop, share: share, feeds: map[string]*Feed{}}
}

// RefusedError is why a key may not have a value.
type RefusedError struct{ Key, Why string }

func (r RefusedError) Error() string { return fmt.Sprintf("cannot set %.40q: %s", r.Key, r.Why) }

// Set gives a key a value. It takes over payload, also with an error, which is a [RefusedError] where the key may not have it.
// changed is false where the key has this very value: the Change is the earlier one then, and the value only counts as
// confirmed. A value that workers published before is not theirs any more.
func (v *Values) Set(now time.Time, key string, payload *ipc.Payload, source string) (c Change, changed bool, err error) {
	if payload, err = v.fit(key, payload); err != nil {
		return Change{}, false, err
	}
	v.published.forget(key)
	before := v.Source(key)
	c, changed = v.store.Set(now, key, payload, source)
	if changed || source != before {
		v.archive.put(c, source)
	}
	return c, changed, nil
}

// Publish is Set for a worker. A key lives until it is deleted, so the number of keys and the bytes of what workers set are
// bounded here: a program gone wrong could make keys up.
func (v *Values) Publish(now time.Time, key string, payload *ipc.Payload, worker uint64) (c Change, changed bool, err error) {
	_, known := v.Get(key)
	err = v.published.admit(key, payload)
	if !known && v.Len() >= maxKeys {
		err = fmt.Errorf("there are %d cached values already, no more can be published", maxKeys)
	}
	if err != nil {
		payload.Release()
		return Change{}, false, err
	}
	c, changed, err = v.Set(now, key, payload, workerSource(worker))
	if kept, ok := v.Get(key); ok && err == nil {
		v.published.add(key, kept)
	}
	return c, changed, err
}

// Delete forgets a key. changed is false where it had no value.
func (v *Values) Delete(now time.Time, key string) (c Change, changed bool) {
	v.published.forget(key)
	c, changed = v.store.Delete(now, key)
	if changed {
		v.archive.put(c, "")
	}
	return c, changed
}

// fit returns the payload as the key may keep it, or refuses it. It takes over payload. When as many values have a memory file as
// may have one, a payload that is short enough is held without one.
func (v *Values) fit(key string, payload *ipc.Payload) (*ipc.Payload, error) {
	old, known := v.Get(key)
	why := ""
	switch {
	case len(key) == 0 || len(key) > ipc.MaxKey || !utf8.ValidString(key):
		why = fmt.Sprintf("a key is UTF-8 text of 1 to %d bytes", ipc.MaxKey)
	case !known && v.Len() >= ipc.MaxSets:
		why = fmt.Sprintf("there are %d cached values already, and a worker can be given no more", v.Len())
	case !payload.Mapped() || known && old.Mapped():
		return payload, nil
	default:
		files, limit := v.share()
		if v.Mapped() < files {
			return payload, nil
		}
		if payload.Len() <= ipc.InlineMax {
			return payload.Inline()
		}
		why = fmt.Sprintf("there are %d values of over %d KiB already, and each takes a file descriptor: at most %d with RLIMIT_NOFILE %d (see tine doctor)",
			v.Mapped(), ipc.HeapMax>>10, files, limit)
	}
	payload.Release()
	return nil, RefusedError{key, why}
}

// Close releases all values, and closes the files of the archive, which the Keep still has.
func (v *Values) Close() {
	v.archive.close()
	v.store.Close()
}

// published counts the bytes of the values that workers have set. A key belongs to the worker or program that set it last: what
// the master itself sets does not count.
type published struct {
	values map[string]int64 // bytes, by key
	total  int64
}

// admit returns an error where payload would be too much as the key's value.
func (p *published) admit(key string, payload *ipc.Payload) error {
	if bytes := p.total - p.values[key] + int64(payload.Len()); bytes > MaxPublished {
		return fmt.Errorf("the values that workers have published would come to %d bytes, at most %d", bytes, MaxPublished)
	}
	return nil
}

// add counts payload as the key's value; forget comes first.
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
