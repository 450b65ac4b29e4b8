package worker

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
	"weak"
)

// Value reads one cached value as a T. See [Cached].
type Value[T any] struct {
	key string
	now atomic.Pointer[state[T]] // never nil
}

// state is immutable once it is in a Value.
type state[T any] struct {
	v    T
	ok   bool
	info Info
	err  error
}

// Info says which change of a cached value is being read.
type Info struct {
	Epoch     uint64    // of the change; 0: there has been none
	ChangedAt time.Time // by the clock of the master
	Bytes     int       // size of the raw form
}

// Cached returns a reader of the value named key. Each change is decoded once, when it arrives; reading costs one
// atomic load, whatever T is.
//
// A string or []byte is the raw value and a [Blob] maps it without a copy; every other T is decoded from JSON. What Get
// returns is shared by all readers of this Value: do not write to it. Each call of Cached decodes for itself, so make
// one Value and keep it.
func Cached[T any](w *Worker, key string) *Value[T] {
	v := &Value[T]{key: key}
	v.now.Store(&state[T]{})
	// The store must not keep alive what the program has dropped.
	p := weak.Make(v)
	of := &w.store.mappings
	w.store.subscribe(key, func(e entry) (alive bool) {
		v := p.Value()
		if v == nil {
			return false
		}
		v.change(e, of)
		return true
	})
	return v
}

// Get returns the value, and false if there is none: never set, deleted, or not decodable as a T so far. 0, false and ""
// are values like any other.
func (v *Value[T]) Get() (T, bool) {
	s := v.now.Load()
	return s.v, s.ok
}

// Or returns the value, or other if there is none.
func (v *Value[T]) Or(other T) T {
	if s := v.now.Load(); s.ok {
		return s.v
	}
	return other
}

// Info describes what Get returns.
func (v *Value[T]) Info() Info { return v.now.Load().info }

// Err says why the newest change could not be decoded. Get then returns the last one that could. It is nil when Get
// returns the newest.
func (v *Value[T]) Err() error { return v.now.Load().err }

// Key is the name of the value.
func (v *Value[T]) Key() string { return v.key }

// change is called by one goroutine at a time.
func (v *Value[T]) change(e entry, of *mappings) {
	old := v.now.Load()
	if e.epoch != 0 && e.epoch == old.info.Epoch && e.present == old.ok && old.err == nil {
		return // seen when the Value was made
	}
	next := &state[T]{info: Info{Epoch: e.epoch, ChangedAt: e.changed, Bytes: e.len()}}
	if e.present {
		if err := decode(e, &next.v, of); err != nil {
			kept := *old
			kept.err = fmt.Errorf("cannot decode cached value %q of epoch %d: %w", v.key, e.epoch, err)
			v.now.Store(&kept)
			return
		}
		next.ok = true
	}
	v.now.Store(next)
	if b, ok := any(&old.v).(*Blob); ok && b.ref != nil && b.ref.mapping != nil {
		b.ref.mapping.supersede()
	}
}

// decode is the counterpart of the encoding of values: string and []byte raw, everything else JSON.
func decode(e entry, into any, of *mappings) error {
	if b, ok := into.(*Blob); ok {
		*b = newBlob(e, of)
		return nil
	}
	raw, err := e.bytes()
	if err != nil {
		return err
	}
	return decodeBytes(raw, into)
}

func decodeBytes(raw []byte, into any) error {
	switch p := into.(type) {
	case *string:
		*p = string(raw)
	case *[]byte:
		*p = append(make([]byte, 0, len(raw)), raw...)
	default:
		return json.Unmarshal(raw, into)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return json.Marshal(v)
}
