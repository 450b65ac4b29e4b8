package ipc

import (
	"math/rand/v2"
	"sync/atomic"
	"unsafe"
)

const (
	// Cells is how many requests of a worker are followed one by one.
	Cells = 128

	// The classes of answers are those of HTTP, 1xx to 5xx at index 0 to 4, and one for what has no known status.
	Classes      = 6
	ClassUnknown = 5

	// RowBytes is the size of a Row.
	RowBytes = 4096
)

// Class returns the class of a status of HTTP: 0 for 1xx to 4 for 5xx, ClassUnknown for all others.
func Class(status int) int {
	if status < 100 || status > 599 {
		return ClassUnknown
	}
	return status/100 - 1
}

// Row is what a worker says of itself: 4096 bytes, one for each seat. Its layout is part of the board's format, see the
// package's documentation. The worker writes it, the master reads it, also after the worker has died. Every word may be used
// by any number of goroutines and processes at once; the words of one row are not a consistent whole. A worker can write
// anything, so a reader may trust no value.
type Row struct {
	Worker  atomic.Uint64 // master, Reset: the worker's id
	Started atomic.Int64  // master, Reset: Monotonic of when the seat was given to it
	_       [6]uint64

	Heartbeat  atomic.Int64  // Monotonic of the last beat; only beats while a connection is open
	GCPause    atomic.Int64  // longest of the recent pauses, in ns
	GCCount    atomic.Uint64 // collections
	Goroutines atomic.Uint64
	Heap       atomic.Uint64 // bytes
	_          [3]uint64

	Opened atomic.Uint64 // connections accepted
	Closed atomic.Uint64 // connections closed
	Late   atomic.Uint64 // requests that found no free cell
	_      [5]uint64

	_       uint64
	Classes [Classes]atomic.Uint64 // requests by the class of their answer, see Class
	Sent    atomic.Uint64          // bytes written to connections

	_ [96]uint64

	Cells     [Cells]atomic.Int64    // Monotonic of the start of a request in flight; 0: free
	Histogram [Buckets]atomic.Uint64 // latencies of requests, by Bucket

	_ [48]uint64
}

// Requests returns how many requests have been answered: the sum of the classes, so that a request costs one count less.
func (r *Row) Requests() (n uint64) {
	for i := range r.Classes {
		n += r.Classes[i].Load()
	}
	return n
}

// probes is how many cells Begin looks at. With half of them taken, fewer than one request in 100,000 finds none.
const probes = 16

// Begin takes a free cell for a request that started at start, by Monotonic. It returns -1, and counts it in Late, if it finds
// none after a few attempts or if start is not above 0. The worker calls it; it never waits.
func (r *Row) Begin(start int64) (cell int) {
	if start > 0 {
		// Random, so that requests on several processors seldom meet. Their starts may be all the same: the clock may be coarse.
		// The stride is random too, as neighbours of a taken cell are more often taken; it is odd, so no cell comes twice.
		at := rand.Uint32()
		stride := at>>16 | 1
		for range probes {
			c := at % Cells
			at += stride
			if r.Cells[c].Load() == 0 && r.Cells[c].CompareAndSwap(0, start) {
				return int(c)
			}
		}
	}
	r.Late.Add(1)
	return -1
}

// End frees the cell that Begin returned. -1 does nothing.
func (r *Row) End(cell int) {
	if uint(cell) < Cells {
		r.Cells[cell].Store(0)
	}
}

// InFlight returns how many cells are taken, 0 to Cells: requests that found none are not among them.
func (r *Row) InFlight() int {
	n := 0
	for i := range r.Cells {
		if r.Cells[i].Load() > 0 {
			n++
		}
	}
	return n
}

// Oldest returns the earliest start of all requests in flight, by Monotonic; not ok if there is none. Cells that are not
// above 0 are ignored. A worker may have written a start in the future.
func (r *Row) Oldest() (start int64, ok bool) {
	for i := range r.Cells {
		if v := r.Cells[i].Load(); v > 0 && (!ok || v < start) {
			start, ok = v, true
		}
	}
	return start, ok
}

// Reset makes all of the row zero and gives it to a worker. The master calls it before that worker may write, and
// takes the row's Stats first if they are to be carried on.
func (r *Row) Reset(worker uint64) {
	words := rowWords(r)
	for i := range words {
		words[i].Store(0)
	}
	r.Started.Store(Monotonic())
	r.Worker.Store(worker)
}

// rowWords is all of the row: it has nothing but words of 8 bytes.
func rowWords(r *Row) *[RowBytes / 8]atomic.Uint64 {
	return (*[RowBytes / 8]atomic.Uint64)(unsafe.Pointer(r))
}
