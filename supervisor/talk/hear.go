package talk

import (
	"fmt"

	"github.com/tinehq/tine/ipc"
)

// Verdict is what the master does about a frame.
type Verdict uint8

const (
	Take     Verdict = iota // act on it
	PassOver                // nothing: it says what is known, or what does not matter any more
	Break                   // end the channel: the worker breaks its rules
)

// kind is a class of frames with the same rules.
type kind uint8

const (
	hello kind = iota
	standby
	ready
	other   // all else that a worker sends
	foreign // what only a master sends
	kinds
)

func kindOf(f ipc.Frame) kind {
	switch f.(type) {
	case ipc.Hello:
		return hello
	case ipc.Standby:
		return standby
	case ipc.Ready:
		return ready
	case ipc.Wake, ipc.Set, ipc.Delete, ipc.Message, ipc.Call, ipc.Reply, ipc.Bye, ipc.Inner:
		return other
	}
	return foreign
}

// rule is what holds for a kind of frames in a state of the channel.
type rule uint8

const (
	taken    rule = iota
	noHello       // the hello comes first
	twice         // a hello comes once
	noValues      // the master's values come first
	unlawful      // at no time
)

var rules = [kinds][4]rule{
	//        Silent   Introduced  Hailed   Talking
	hello:   {taken, taken, twice, twice},
	standby: {noHello, noHello, noValues, taken},
	ready:   {noHello, noHello, noValues, taken},
	other:   {noHello, noHello, taken, taken},
	foreign: {noHello, noHello, unlawful, unlawful},
}

// Hear returns what to do about a frame that the worker has sent. why is the rule that it breaks. A worker that was adopted may be ready
// without the values of this master, as it has those of the last. slot is the worker's; -1: it is a standby.
func (s State) Hear(f ipc.Frame, adopted bool, slot int) (v Verdict, why string) {
	k := kindOf(f)
	switch rules[k][s.Channel] {
	case noHello:
		return Break, fmt.Sprintf("%T before its hello", f)
	case twice:
		return Break, "a second hello"
	case unlawful:
		return Break, fmt.Sprintf("a worker does not send %T", f)
	case noValues:
		if k == standby { // it would be given its slot now, and again with the values
			return Break, "standing by before the snapshot was sent"
		}
		if !adopted {
			return Break, "ready before its hello or before the snapshot was sent"
		}
	}
	switch f := f.(type) {
	case ipc.Hello:
		if f.Protocol < 1 {
			return Break, fmt.Sprintf("protocol version %d", f.Protocol)
		}
	case ipc.Standby:
		if slot >= 0 {
			return PassOver, "" // it was sent before its slot had reached the worker
		}
	case ipc.Ready:
		if s.WasReady() {
			return PassOver, ""
		}
	}
	return Take, ""
}
