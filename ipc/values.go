package ipc

import "sync/atomic"

// Values are all cached values at one epoch: what a snapshot says. They never change, so that the outboxes of many workers
// write from one and the same. They begin with one reference, and hold one of each payload until their last is released.
// All methods may be called at the same time from several goroutines, as long as each holds a reference.
type Values struct {
	refs  atomic.Int64
	epoch uint64
	sets  []Set // in the order of their epochs, without IDs
}

// NewValues takes over sets and the references of their payloads.
func NewValues(epoch uint64, sets []Set) *Values {
	v := &Values{epoch: epoch, sets: sets}
	v.refs.Store(1)
	return v
}

// Retain adds a reference and returns v.
func (v *Values) Retain() *Values {
	if v.refs.Add(1) <= 1 {
		panic("ipc: Retain of released values")
	}
	return v
}

// Release gives a reference back.
func (v *Values) Release() {
	switch n := v.refs.Add(-1); {
	case n < 0:
		panic("ipc: Release of released values")
	case n == 0:
		for _, s := range v.sets {
			Discard(s)
		}
		v.sets = nil
	}
}

// frame is the first one of the snapshot, or number at of those that follow it; the payload is v's own reference.
func (v *Values) frame(at int) Frame {
	if at < 0 {
		return Snapshot{Epoch: v.epoch, Count: len(v.sets)}
	}
	return v.sets[at]
}
