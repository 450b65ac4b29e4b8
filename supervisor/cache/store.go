package cache

import (
	"cmp"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
)

// store holds the cached values of a master. The zero store is empty and ready to use. It has no lock: one goroutine, the
// supervisor's loop, owns it. Each change gets the next epoch, so that an epoch names a state of the whole set.
type store struct {
	epoch  uint64
	values map[string]*value
	mapped int         // values that have a memory file
	shared *ipc.Values // all of them at this epoch; nil: not made since the last change

	known   Known               // what was told of them last
	touched map[string]struct{} // keys of which that has changed since
}

// value is a key that was set, or one that only failed so far.
type value struct {
	epoch     uint64       // of the last change; 0: never set
	payload   *ipc.Payload // nil: never set
	changedAt time.Time
	checkedAt time.Time // the last time that its source confirmed it
	source    string
	failure   string // the last result, when that was an error
	failures  uint64 // of all results
}

// Change is one new state of one key. Payload is the store's own reference, valid until the store's next method.
type Change struct {
	Key     string
	Epoch   uint64
	Payload *ipc.Payload // nil: deleted
	At      time.Time
}

// Frame returns the frame that tells a worker, with a reference to the payload of its own, which is the receiver's.
func (c Change) Frame() ipc.Frame {
	if c.Payload == nil {
		return ipc.Delete{Epoch: c.Epoch, Key: c.Key}
	}
	return ipc.Set{Epoch: c.Epoch, Key: c.Key, ChangedAt: c.At, Payload: c.Payload.Retain()}
}

// Len is the number of keys, with those that only failed so far.
func (s *store) Len() int { return len(s.values) }

// Epoch is that of the last change of any key.
func (s *store) Epoch() uint64 { return s.epoch }

// Set stores a value and takes over the reference to p. When the key has this very value already, it only becomes
// fresh: the Change is then the earlier one, and the result false.
func (s *store) Set(now time.Time, key string, p *ipc.Payload, source string) (Change, bool) {
	v := s.entry(key)
	v.checkedAt, v.source, v.failure = now, source, ""
	if v.payload != nil && v.payload.Equal(p) {
		p.Release()
		return Change{key, v.epoch, v.payload, v.changedAt}, false
	}
	s.forget(v)
	if p.Mapped() {
		s.mapped++
	}
	s.changed()
	v.epoch, v.payload, v.changedAt = s.epoch, p, now
	return Change{key, v.epoch, p, now}, true
}

// Delete forgets a key. The result is false when it had no value.
func (s *store) Delete(now time.Time, key string) (Change, bool) {
	v, ok := s.values[key]
	if ok {
		s.touch(key)
	}
	delete(s.values, key)
	if !ok || v.payload == nil {
		return Change{Key: key, Epoch: s.epoch, At: now}, false
	}
	s.forget(v)
	s.changed()
	return Change{Key: key, Epoch: s.epoch, At: now}, true
}

// forget releases what a key has.
func (s *store) forget(v *value) {
	if v.payload == nil {
		return
	}
	if v.payload.Mapped() {
		s.mapped--
	}
	v.payload.Release()
	v.payload = nil
}

// Mapped is how many values have a memory file of their own.
func (s *store) Mapped() int { return s.mapped }

func (s *store) changed() {
	s.epoch++
	s.unshare()
}

func (s *store) unshare() {
	if s.shared != nil {
		s.shared.Release()
		s.shared = nil
	}
}

// fail notes that the key's source failed. The value stays as it is and grows old.
func (s *store) fail(key string, err error) {
	v := s.entry(key)
	v.failure = err.Error()
	v.failures++
}

// entry is the key's, to be changed.
func (s *store) entry(key string) *value {
	s.touch(key)
	v, ok := s.values[key]
	if !ok {
		if s.values == nil {
			s.values = map[string]*value{}
		}
		v = &value{}
		s.values[key] = v
	}
	return v
}

// Get returns the value of a key. The reference is the store's, valid until its next method.
func (s *store) Get(key string) (*ipc.Payload, bool) {
	v, ok := s.values[key]
	if !ok || v.payload == nil {
		return nil, false
	}
	return v.payload, true
}

// Source is who confirmed the key's value last; "" if there is none.
func (s *store) Source(key string) string {
	v, ok := s.values[key]
	if !ok {
		return ""
	}
	return v.source
}

// Snapshot returns all values in the order of their epochs, each with a reference that the caller releases.
func (s *store) Snapshot() (epoch uint64, sets []ipc.Set) {
	for key, v := range s.values {
		if v.payload != nil {
			sets = append(sets, ipc.Set{Epoch: v.epoch, Key: key, ChangedAt: v.changedAt, Payload: v.payload.Retain()})
		}
	}
	slices.SortFunc(sets, func(a, b ipc.Set) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return s.epoch, sets
}

// All returns all values for a worker's snapshot, with a reference of the caller's own. All calls between two changes return
// the same.
func (s *store) All() *ipc.Values {
	if s.shared == nil {
		s.shared = ipc.NewValues(s.Snapshot())
	}
	return s.shared.Retain()
}

// ValueStatus is what is known about one key.
type ValueStatus struct {
	Key        string        `json:"key"`
	Epoch      uint64        `json:"epoch"` // 0: no value yet
	Bytes      int           `json:"bytes"`
	Age        time.Duration `json:"age"`         // since the value changed
	CheckedAge time.Duration `json:"checked_age"` // since its source confirmed it
	Source     string        `json:"source"`
	Error      string        `json:"error,omitempty"` // why it was not confirmed at the last attempt
	Failures   uint64        `json:"failures,omitempty"`
}

// Status returns what is known about every key, in the order of the keys.
func (s *store) Status(now time.Time) []ValueStatus { return s.Known().All(now) }

// Close releases all values and leaves the store empty.
func (s *store) Close() {
	s.unshare()
	for _, v := range s.values {
		s.forget(v)
	}
	s.values, s.known, s.touched = nil, Known{}, nil
}
