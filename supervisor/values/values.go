package values

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Values are the cached values of a master, with the sources that are asked for them. The methods that change a value have the change
// sent to the workers.
type Values struct {
	*cache.Values
	loop    Loop
	ctx     context.Context    // of the sources
	sources map[string]*source // by key
	ready   bool
}

// Message is something that has come from another goroutine for Values. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Values) }

// Loop is what Values ask of the loop that they run in.
type Loop interface {
	// Post hands m to the loop, from another goroutine. It reports false when the loop has ended; m is still the caller's then.
	Post(m Message) bool
	// Go runs f in a goroutine that the loop waits for at its end.
	Go(f func())
	// Spread sends a change to the workers that have the values, and Introduce sends all values to those that wait for them.
	Spread(c cache.Change)
	Introduce()
	// Event enters e in the book of events.
	Event(level zerolog.Level, e api.Event)
}

// New returns Values without a value and a source. share is that of [cache.NewValues].
func New(l Loop, share func() (files, limit int)) *Values {
	return &Values{Values: cache.NewValues(share), loop: l, sources: map[string]*source{}}
}

// Start goes on with the values that the master before has left in files, as [cache.Values.Open] does, but for those whose sources are
// not in the config any more. Then it starts the sources, which end with ctx.
func (v *Values) Start(ctx context.Context, log *zerolog.Logger, all []config.CacheValue, files map[string]*os.File, k cache.Keep) {
	v.ctx = ctx
	if prepare := v.Open(log, files, k); prepare != nil {
		v.loop.Go(prepare)
	}
	for _, key := range v.Orphans(func(key string) bool { return indexOf(all, key) >= 0 }) {
		v.Delete(key)
	}
	for _, c := range all {
		v.begin(c, true)
	}
	v.Await(time.Now())
	v.Tick(time.Now())
}

// Apply ends the sources that are gone or changed, and starts those that are new or changed. A value whose source is gone is deleted.
func (v *Values) Apply(all []config.CacheValue) {
	for key, s := range v.sources {
		i := indexOf(all, key)
		if i >= 0 && sameSource(all[i], s.config) {
			continue
		}
		s.cancel()
		delete(v.sources, key)
		v.End(key)
		if i < 0 {
			v.Delete(key)
		}
	}
	for _, c := range all {
		if v.sources[c.Key] == nil {
			v.begin(c, false)
		}
	}
}

func indexOf(all []config.CacheValue, key string) int {
	return slices.IndexFunc(all, func(c config.CacheValue) bool { return c.Key == key })
}

// Ready reports whether workers may be given the values: each source has answered once, or its time for that is over.
func (v *Values) Ready() bool { return v.ready }

// Deadline is when the first workers get the values though a source has not answered; zero: workers may have them.
func (v *Values) Deadline() time.Time {
	if v.ready {
		return time.Time{}
	}
	return v.Values.Deadline()
}

// Tick has the workers given the values that wait for them, if it is time to. It is called at the Deadline.
func (v *Values) Tick(now time.Time) {
	if !v.ready && v.Complete(now) {
		v.ready = true
		v.loop.Introduce()
	}
}

// Set gives a key a value for the program or a person, and returns its epoch. It takes over payload.
func (v *Values) Set(key string, payload *ipc.Payload) (epoch uint64, err error) {
	if err := v.reserved(key, payload); err != nil {
		return 0, err
	}
	c, changed, err := v.Values.Set(time.Now(), key, payload, cache.SourceSet)
	if changed {
		v.spread(c)
	}
	return c.Epoch, err
}

// Publish is Set for a worker.
func (v *Values) Publish(key string, payload *ipc.Payload, worker uint64) (epoch uint64, err error) {
	if err := v.reserved(key, payload); err != nil {
		return 0, err
	}
	c, changed, err := v.Values.Publish(time.Now(), key, payload, worker)
	if changed {
		v.spread(c)
	}
	return c.Epoch, err
}

// reserved refuses a key that only a source of the master itself may change, and gives up payload then: gateways go by it.
func (v *Values) reserved(key string, payload *ipc.Payload) error {
	if !strings.HasPrefix(key, policy.Prefix) {
		return nil
	}
	if payload != nil {
		payload.Release()
	}
	return cache.RefusedError{Key: key, Why: "keys that begin with " + policy.Prefix + " are those of gateways; change the config of the gateway"}
}

// Unset is Delete for a worker or a person.
func (v *Values) Unset(key string) (epoch uint64, err error) {
	if err := v.reserved(key, nil); err != nil {
		return 0, err
	}
	return v.Delete(key), nil
}

// Delete forgets a key, and returns the epoch that holds then.
func (v *Values) Delete(key string) (epoch uint64) {
	c, changed := v.Values.Delete(time.Now(), key)
	if changed {
		v.spread(c)
	}
	return c.Epoch
}

func (v *Values) spread(c cache.Change) {
	v.loop.Spread(c)
	if c.Payload == nil {
		v.event(zerolog.InfoLevel, api.EventValueDeleted, c.Key, "")
	} else {
		v.event(zerolog.DebugLevel, api.EventValueSet, c.Key, "")
	}
}

// event tells of one value.
func (v *Values) event(level zerolog.Level, kind, key, reason string) {
	text := key
	if reason != "" {
		text += ": " + reason
	}
	v.loop.Event(level, api.Event{Kind: kind, Reason: reason, Message: text})
}

// SetValue is Set from another goroutine. Answer has room for one.
type SetValue struct {
	Key     string
	Payload *ipc.Payload
	Answer  chan<- Setting
}

// Setting is what came of setting a value.
type Setting struct {
	Epoch uint64
	Err   error
}

func (s SetValue) Act(v *Values) {
	epoch, err := v.Set(s.Key, s.Payload)
	s.Answer <- Setting{epoch, err}
}

// DeleteValue is Delete from another goroutine. Answer has room for one.
type DeleteValue struct {
	Key    string
	Answer chan<- uint64
}

func (d DeleteValue) Act(v *Values) { d.Answer <- v.Delete(d.Key) }

// TakeFiles takes the files of values out of what the last master has left. Of several of one name the last one counts.
func TakeFiles(inherited map[string][]*os.File) map[string]*os.File {
	values := map[string]*os.File{}
	for name, files := range inherited {
		if !cache.IsFile(name) || len(files) == 0 {
			continue
		}
		delete(inherited, name)
		last := len(files) - 1
		for _, f := range files[:last] {
			_ = f.Close()
		}
		values[name] = files[last]
	}
	return values
}
