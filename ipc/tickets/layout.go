package tickets

import (
	"sync/atomic"
	"time"
)

// The format. A change of it, or of head, header or the bits of a row, is a new Version.
const (
	Magic   = 0x74786b2e656e6974 // the bytes "tine.kxt" where the lowest comes first
	Version = 1

	Slots = 1024 // that a book has room for
	Rows  = 1024 // of a slot: the most requests that gateways have there at once, also without a limit
	Seats = 2    // in a surge a slot has two workers

	headersOffset = 4096
	headerBytes   = 256
	rowsOffset    = headersOffset + Slots*headerBytes

	// Bytes is the size of a book's memory. Only pages that were used take memory.
	Bytes = rowsOffset + Slots*Rows*8
)

const (
	// BeatEvery is how often a worker that had a request within the last second shows that it runs.
	BeatEvery = 20 * time.Millisecond
	// BeatStale is the age of a beat from which on the worker is taken for stopped.
	BeatStale = 100 * time.Millisecond
)

// Header and NotBegun are the names of the HTTP headers that carry a ticket to a worker, and say that it has begun none.
const (
	Header   = "Tine-Ticket"
	NotBegun = "Tine-Not-Begun"
)

// head is the start of the memory.
type head struct {
	magic, version uint64 // written by the master alone
	used           atomic.Uint64
	waited         atomic.Int64
	_              [4]uint64
	freed          atomic.Uint32
}

// header is what there is of a slot beside its rows. What gateways write and what workers write is on lines of its own.
type header struct {
	taken atomic.Int64
	sent  atomic.Int64
	_     [6]uint64
	seats [Seats]seat
	_     [8]uint64
}

type seat struct {
	direct atomic.Int64
	beat   atomic.Int64
	begun  atomic.Int64
	_      [5]uint64
}

// place is the word of one row.
type place = atomic.Uint64

type rows [Rows]place

// Owner is a gateway's worker in the rows that it has reserved.
type Owner uint64

// OwnerOf is that of the gateway's process with a PID, as IDs of workers are an app's own and two gateways may send requests to one app. Two
// processes have the same owner if their PIDs are a multiple of 1,048,575 apart, which only delays what Sweep frees.
func OwnerOf(pid uint64) Owner { return Owner(pid%mostOwner + 1) }

// The bits of a row.
const (
	stateBits = 7
	seatBit   = 1 << 3
	ownerAt   = 4
	mostOwner = 1<<20 - 1
	ownerBits = mostOwner << ownerAt
	oneMore   = 1 << 24 // in the sequence

	free      = 0
	sent      = 1
	begun     = 2
	ended     = 3
	left      = 4
	withdrawn = 5
)

func ownerOf(w uint64) Owner { return Owner(w & ownerBits >> ownerAt) }

// sameTicket reports whether two words are states of one ticket.
func sameTicket(a, b uint64) bool { return (a^b)&^(stateBits|seatBit) == 0 }

// in is a word in another state.
func in(state, w uint64) uint64 { return w&^(stateBits|seatBit) | state }

// freed is a word as it is when its row is free.
func freed(w uint64) uint64 { return w &^ (oneMore - 1) }

// isFree reports whether a row can be reserved.
func isFree(w uint64) bool { return w&(oneMore-1) == 0 }

// sound reports whether there is a step that writes w.
func sound(w uint64) bool {
	switch w & stateBits {
	case free:
		return isFree(w)
	case sent, withdrawn:
		return ownerOf(w) != 0 && w&seatBit == 0
	case begun, ended, left:
		return ownerOf(w) != 0
	}
	return false
}
