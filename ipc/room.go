package ipc

import (
	"fmt"
	"math"
)

// Room counts the frames that wait, lane by lane: each lane has bounds of its own, so that what may be lost never takes the
// room of what may not. The zero Room has the default bounds. One goroutine at a time uses it.
//
//	lane     frames                                                   when its room is used up
//	orders   hello, snapshot, assign, ready, standby, drain, bye,    the channel is broken: there is a handful in its life
//	         inner, tickets
//	states   ack, wake                                               never: the newest takes the place of the one before
//	asks     call; set and delete that have an ID                    the caller is told
//	answers  reply                                                   the channel is broken: the peer asks and does not read
//	notes    message                                                 it is dropped, which the sender counts
type Room struct {
	MaxFrames int // of each lane but orders and states [1024]
	MaxBytes  int // of the inline payloads of each lane [4 MiB]

	lanes [lanes]struct{ frames, bytes int }
}

type lane int

const (
	laneOrders lane = iota
	laneStates
	laneAsks
	laneAnswers
	laneNotes
	lanes
)

var laneNames = [lanes]string{"orders", "states", "asks", "answers", "notes"}

// maxOrders is far more than there are in the life of a channel.
const maxOrders = 1024

func laneOf(f Frame) lane {
	switch f.(type) {
	case Ack, Wake:
		return laneStates
	case Call, Set, Delete:
		return laneAsks
	case Reply:
		return laneAnswers
	case Message:
		return laneNotes
	}
	return laneOrders
}

func isState(f Frame) bool { return laneOf(f) == laneStates }

// Supersedes says that old, if it waits, need not be sent once f is: of states only the newest counts. How many of them are
// counted in a Room does not matter.
func Supersedes(f, old Frame) bool { return isState(f) && f.frameType() == old.frameType() }

// Admit counts all of fs or none. It is refused, with an error that wraps ErrFull, when as much as allowed waits already in
// the lane of one of them; what is accepted is taken whole, however much it is.
func (r *Room) Admit(fs ...Frame) error {
	for _, f := range fs {
		l := laneOf(f)
		frames, bytes := r.bounds(l)
		if in := r.lanes[l]; in.frames >= frames || in.bytes >= bytes {
			return fmt.Errorf("%w: %d %s with %d bytes wait, at most %d and %d", ErrFull, in.frames, laneNames[l], in.bytes, frames, bytes)
		}
	}
	for _, f := range fs {
		in := &r.lanes[laneOf(f)]
		in.frames++
		in.bytes += payloadOf(f).inlineLen()
	}
	return nil
}

// Leave takes off what was admitted.
func (r *Room) Leave(f Frame) {
	in := &r.lanes[laneOf(f)]
	in.frames--
	in.bytes -= payloadOf(f).inlineLen()
}

// Clear takes off all.
func (r *Room) Clear() { clear(r.lanes[:]) }

func (r *Room) bounds(l lane) (frames, bytes int) {
	frames, bytes = r.MaxFrames, r.MaxBytes
	if frames <= 0 {
		frames = 1024
	}
	if bytes <= 0 {
		bytes = 4 << 20
	}
	switch l {
	case laneOrders:
		frames = maxOrders
	case laneStates:
		frames = math.MaxInt
	}
	return frames, bytes
}
