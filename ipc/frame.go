package ipc

import (
	"os"
	"slices"
	"time"
)

// Frame is one of the structs below, passed by value.
//
// A frame with a *Payload owns one reference to it, and one with files owns these: Conn.Write leaves both with the
// caller, Outbox.Send takes them over, Conn.Read hands them to the reader. Discard gives back whatever a frame owns.
//
// A nil *Payload is written as an empty one; Read never returns nil.
type Frame interface{ frameType() Type }

// Hello is the first frame in each direction. The worker fills Protocol, PID and Library; the master answers with its own
// Protocol, PID and Library and with who the worker is.
type Hello struct {
	Protocol   int    `json:"protocol"`
	PID        int    `json:"pid"`
	Library    string `json:"library,omitempty"`
	App        string `json:"app,omitempty"`
	Worker     uint64 `json:"worker,omitempty"`
	Generation uint64 `json:"generation,omitempty"`

	// What a worker tells a master that takes over. The first hello of a worker has none of it.
	State WorkerState `json:"state,omitempty"`
	Slot  int         `json:"slot,omitempty"` // these two from StateAssigned on, but for a standby that drains
	Seat  int         `json:"seat,omitempty"`
	Epoch uint64      `json:"epoch,omitempty"` // every change up to here has been applied
}

// WorkerState is how far a worker has come.
type WorkerState string

const (
	StateStarting WorkerState = "starting" // it has no slot and does not wait for one yet
	StateStandby  WorkerState = "standby"  // it is initialised and waits for a slot
	StateAssigned WorkerState = "assigned" // it has its slot and is not ready
	StateReady    WorkerState = "ready"
	StateDraining WorkerState = "draining"
)

// Snapshot announces that exactly Count Set frames follow, which together are all cached values at Epoch.
type Snapshot struct {
	Epoch uint64 `json:"epoch"`
	Count int    `json:"count"`
}

// Assign gives the worker a slot and its listening sockets: one file for each listener, in the same order. With Board it also
// gives the app's board, for OpenBoard; the worker writes the slot's line and the row of its seat. Board says whether Hot and
// Rows are there, and must agree with them.
type Assign struct {
	Slot         int
	Seat         int // 0 to Seats-1
	Listeners    []Listener
	Files        []*os.File
	Board        bool
	Hot          *os.File
	Rows         *os.File
	DrainDelay   time.Duration
	DrainTimeout time.Duration
}

// Listener says what a listening socket is bound to. Network is tcp, tcp4, tcp6 or unix.
type Listener struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// Ready says that the worker serves the slot that it was assigned.
type Ready struct{}

// Set is a change of a cached value. From the master: ID is 0 and Epoch orders the changes. From a worker: a request to
// publish, Epoch is 0, and the Reply with the same ID carries the new epoch in decimal digits.
type Set struct {
	ID        uint64
	Epoch     uint64
	Key       string
	ChangedAt time.Time
	Payload   *Payload
}

// Delete removes a cached value; ID and Epoch are as in Set.
type Delete struct {
	ID    uint64
	Epoch uint64
	Key   string
}

// Ack says that the worker has applied every change up to Epoch.
type Ack struct{ Epoch uint64 }

// Message is a note without an answer.
type Message struct {
	Topic   string
	Payload *Payload
}

// Call asks for a Reply with the same ID. Each side numbers its own calls (and its publishing Sets and Deletes).
// After Timeout the caller no longer waits; 0 means that it does not say.
type Call struct {
	ID      uint64
	Method  string
	Timeout time.Duration
	Payload *Payload
}

// NoHandler begins the Error of a Reply to a call of a method that the callee does not have.
const NoHandler = "worker has no handler of"

// Reply answers a Call, or a Set or Delete with an ID. Error is empty on success.
type Reply struct {
	ID      uint64
	Error   string
	Payload *Payload
}

// Drain orders the worker to finish and exit. With Handover a successor already accepts on the same sockets, so the
// worker stops accepting at once. Without it goes on until no connection is left, at most for Delay, and then until the
// queue is empty. With Linger it does so for the whole Delay: connections whose handshake has begun are still to come to
// sockets that will be closed, while new ones are steered elsewhere.
type Drain struct {
	Reason   string
	Handover bool
	Linger   bool
	Delay    time.Duration
	Timeout  time.Duration
}

// Bye says that the worker is about to exit on purpose. Cut is how many requests it had to cut off.
type Bye struct {
	Reason string `json:"reason,omitempty"`
	Cut    int    `json:"cut,omitempty"`
}

// Standby says that the worker is initialised and waits for a slot. It is sent once, if no assign has come by then.
type Standby struct{}

// Wake says that the worker has counted a connection while Header.Asleep was not 0. It is sent at most once for each value of
// that. The master knows by it that the lines are to be looked at; it may ignore it.
type Wake struct{}

// Inner is about the slot's inner socket, a Unix-domain one by which gateways of the master reach this very worker. From the master: File is
// the socket, and takes the place of the one before; nil: there is none any more. A worker that can serve HTTP there does so beside its
// listeners, and says Inner itself, without a file: Address is that of the socket that it serves; "": it serves none any more.
type Inner struct {
	Address string
	File    *os.File
}

// Tickets gives a worker the memory of the tickets of an app: see package ipc/tickets. An app's own workers get that of their app, those of
// a gateway one for each app that it passes requests on to. File takes the place of the one before; nil: there is none any more.
type Tickets struct {
	App  string
	File *os.File
}

func (Hello) frameType() Type    { return TypeHello }
func (Snapshot) frameType() Type { return TypeSnapshot }
func (Assign) frameType() Type   { return TypeAssign }
func (Ready) frameType() Type    { return TypeReady }
func (Set) frameType() Type      { return TypeSet }
func (Delete) frameType() Type   { return TypeDelete }
func (Ack) frameType() Type      { return TypeAck }
func (Message) frameType() Type  { return TypeMessage }
func (Call) frameType() Type     { return TypeCall }
func (Reply) frameType() Type    { return TypeReply }
func (Drain) frameType() Type    { return TypeDrain }
func (Bye) frameType() Type      { return TypeBye }
func (Standby) frameType() Type  { return TypeStandby }
func (Wake) frameType() Type     { return TypeWake }
func (Inner) frameType() Type    { return TypeInner }
func (Tickets) frameType() Type  { return TypeTickets }

// Discard releases the payload and closes the files that f owns. It is for frames that are not passed on.
func Discard(f Frame) {
	if p := payloadOf(f); p != nil {
		p.Release()
	}
	for _, file := range filesOf(f) {
		if file != nil {
			file.Close()
		}
	}
}

// filesOf are the files that travel with f, in the order of the wire.
func filesOf(f Frame) []*os.File {
	var one *os.File
	switch f := f.(type) {
	case Assign:
		return f.allFiles()
	case Inner:
		one = f.File
	case Tickets:
		one = f.File
	}
	if one == nil {
		return nil
	}
	return []*os.File{one}
}

// allFiles are those that travel, in the order of the wire.
func (a Assign) allFiles() []*os.File {
	if a.Hot == nil && a.Rows == nil {
		return a.Files
	}
	return append(slices.Clip(a.Files), a.Hot, a.Rows)
}

func payloadOf(f Frame) *Payload {
	switch f := f.(type) {
	case Set:
		return f.Payload
	case Message:
		return f.Payload
	case Call:
		return f.Payload
	case Reply:
		return f.Payload
	}
	return nil
}
