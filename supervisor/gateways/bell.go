package gateways

import "sync/atomic"

// bell wakes all that wait for its next ring. The zero bell is ready.
type bell struct{ next atomic.Pointer[chan struct{}] }

// wait is closed by the next ring.
func (b *bell) wait() <-chan struct{} {
	mine := make(chan struct{})
	for {
		if c := b.next.Load(); c != nil {
			return *c
		}
		if b.next.CompareAndSwap(nil, &mine) {
			return mine
		}
	}
}

// ring costs one atomic access where nothing waits.
func (b *bell) ring() {
	if c := b.next.Swap(nil); c != nil {
		close(*c)
	}
}
