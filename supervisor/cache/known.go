package cache

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
)

// buckets is how many parts Known has. A change copies one part: 8 bytes for each of its keys, which are four thousand where
// the store has a million.
const buckets = 256

// seed spreads the keys over the parts of every Known of this process.
var seed = maphash.MakeSeed()

// Known is what a store knew of its keys when [store.Known] was called, without the values themselves. It never changes, and
// shares with the Known before it all that has not changed in between. The zero Known has no key.
type Known struct {
	Epoch uint64 // of the last change of any key
	Len   int    // keys, with those that only failed so far
	parts *[buckets][]*known
}

// known is what is known of one key. It never changes.
type known struct {
	ValueStatus
	changedAt, checkedAt time.Time // zero: it has no value
}

// at is the status as of now.
func (k *known) at(now time.Time) ValueStatus {
	st := k.ValueStatus
	if !k.changedAt.IsZero() {
		st.Age, st.CheckedAge = now.Sub(k.changedAt), now.Sub(k.checkedAt)
	}
	return st
}

func bucketOf(key string) int { return int(maphash.String(seed, key) % buckets) }

// All is what is known of every key at a time, in the order of the keys.
func (k Known) All(now time.Time) []ValueStatus {
	all := make([]ValueStatus, 0, k.Len)
	if k.parts == nil {
		return all
	}
	for _, part := range k.parts {
		for _, v := range part {
			all = append(all, v.at(now))
		}
	}
	slices.SortFunc(all, func(a, b ValueStatus) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// Keys are all keys, in order.
func (k Known) Keys() []string {
	all := make([]string, 0, k.Len)
	if k.parts == nil {
		return all
	}
	for _, part := range k.parts {
		for _, v := range part {
			all = append(all, v.Key)
		}
	}
	slices.Sort(all)
	return all
}

// Get is what is known of one key.
func (k Known) Get(key string, now time.Time) (ValueStatus, bool) {
	if k.parts != nil {
		for _, v := range k.parts[bucketOf(key)] {
			if v.Key == key {
				return v.at(now), true
			}
		}
	}
	return ValueStatus{}, false
}

// Known returns what the store knows now. It costs a copy of 6 KiB and of one part for each key that was set, deleted or has
// failed since the last call; nothing, if none was.
func (s *store) Known() Known {
	if len(s.touched) == 0 && s.known.Epoch == s.epoch {
		return s.known
	}
	next := new([buckets][]*known)
	if s.known.parts != nil {
		*next = *s.known.parts
	}
	for key := range s.touched {
		n := bucketOf(key)
		part := make([]*known, 0, len(next[n])+1)
		for _, k := range next[n] {
			if k.Key != key {
				part = append(part, k)
			}
		}
		if v, ok := s.values[key]; ok {
			part = append(part, v.known(key))
		}
		next[n] = part
	}
	s.touched = nil
	s.known = Known{Epoch: s.epoch, Len: len(s.values), parts: next}
	return s.known
}

func (v *value) known(key string) *known {
	k := &known{ValueStatus: ValueStatus{Key: key, Epoch: v.epoch, Source: v.source, Error: v.failure, Failures: v.failures}}
	if v.payload != nil {
		k.Bytes, k.changedAt, k.checkedAt = v.payload.Len(), v.changedAt, v.checkedAt
	}
	return k
}

// touch has the next Known look at a key again.
func (s *store) touch(key string) {
	if s.touched == nil {
		s.touched = map[string]struct{}{}
	}
	s.touched[key] = struct{}{}
}

// Touched reports whether the next Known differs from the last.
func (s *store) Touched() bool { return len(s.touched) > 0 }
