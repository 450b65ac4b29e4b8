package ipc

import "sync/atomic"

// What a connection weighs. A busy one, or one that is not accepted yet, weighs Weight = Busy+1. An idle one, kept alive
// between two requests, weighs 1. So busy connections decide which slot has room, and open ones break a tie.
const (
	Busy   = 1 << 20
	Weight = Busy + 1
)

// FlagClosed in Line.Flags: no new connections for this slot as long as another one is open.
const FlagClosed = 1

// Line is what the kernel reads of a slot for each new connection: 64 bytes, one line of the processor's cache. Its layout is
// part of the board's format, see the package's documentation. Counters go round at 2^64. The load of a slot is
// Assigned*Weight - Released[0] - Released[1].
//
// A worker adds to Released of its seat: Busy when a connection becomes idle, -Busy when it is busy again, 1 when it is closed and
// Busy too if it was busy. The master adds to both arrays for connections that their worker can no longer give back.
//
// Workers write lines too, so a value must not be trusted: what is computed of them can be anything, also negative.
type Line struct {
	Assigned   atomic.Uint64        // kernel, steering by eBPF only: connections steered here (SYNs)
	Accepted   [Seats]atomic.Uint64 // workers, by seat: connections accepted
	Released   [Seats]atomic.Uint64 // workers, by seat: weight given back
	AcceptedAt atomic.Int64         // workers: Monotonic of the last accept
	Flags      atomic.Uint64        // master: FlagClosed
	_          uint64
}

// Held returns the weight of the connections that the seat's workers have accepted and not given back. It is negative if
// they gave back more than they had.
func (l *Line) Held(seat int) int64 {
	return int64(l.Accepted[seat].Load()*Weight - l.Released[seat].Load())
}
