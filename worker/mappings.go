package worker

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// mostSuperseded is how many bytes of superseded mappings wait for the garbage collector before the worker starts a
	// collection itself.
	mostSuperseded = 32 << 20
	// collectAtMost is the shortest time between two such collections.
	collectAtMost = time.Second
)

// mappings bounds the memory of superseded Blobs. Only the garbage collector knows that a Blob is unreachable, and a mapped
// file is not on the heap: however large, it brings no collection nearer. In a program that allocates little the next one
// may be two minutes away, and a large value that changes often would fill the memory meanwhile. So a collection is started
// when superseded mappings exceed mostSuperseded, and never for less: the program's collections are its own business.
type mappings struct {
	superseded atomic.Int64 // bytes; a mapping that several Values have shown counts for each
	started    atomic.Bool  // a collection is due within collectAtMost
}

// mapping is a Blob's share of a payload.
type mapping struct {
	of         *mappings
	payload    *ipc.Payload
	bytes      int64 // that are mapped; 0: the payload is on the heap
	superseded atomic.Bool
}

func newMapping(of *mappings, p *ipc.Payload) *mapping {
	m := &mapping{of: of, payload: p.Retain()}
	if p.Mapped() {
		m.bytes = int64(p.Len())
	}
	return m
}

// supersede notes that the program can reach the Blob only by what it has got from Get before.
func (m *mapping) supersede() {
	m.superseded.Store(true)
	if m.of.superseded.Add(m.bytes) <= mostSuperseded || m.of.started.Swap(true) {
		return
	}
	time.AfterFunc(collectAtMost, func() {
		m.of.started.Store(false)
		runtime.GC()
	})
}

// free is called once the Blob is unreachable.
func (m *mapping) free() {
	if m.superseded.Load() {
		m.of.superseded.Add(-m.bytes)
	}
	m.payload.Release()
}
