package ipc

import "fmt"

// Protocol is the version of the wire format that this package speaks.
const Protocol = 1

// EnvChannel names the environment variable that tells a worker which inherited descriptor is its channel.
const EnvChannel = "TINE_CHANNEL_FD"

// EnvLifeline names the one that tells it which is its lifeline: see Lifeline.
const EnvLifeline = "TINE_LIFELINE_FD"

// Bounds of the wire format. They are part of it: a peer that exceeds one has violated the protocol.
const (
	InlineMax  = 64 << 10              // longest payload that is written into the frame itself
	MaxPayload = 1 << 30               // longest payload at all
	MaxFrame   = InlineMax + (8 << 10) // longest body
	MaxKey     = 255                   // longest key, topic and method, in bytes; none may be empty
	MaxText    = 4 << 10               // longest reason and error text, in bytes; longer ones are cut when written
	MaxFDs     = 64                    // most descriptors of one frame
	MaxSets    = 1 << 20               // most values that a snapshot may announce
)

// headerLen is the length of what precedes each body.
const headerLen = 8

// Type is the number of a frame on the wire.
type Type uint8

// The frames of protocol 1. Zero is never valid, so that zeroed memory is not taken for a frame.
const (
	TypeHello Type = iota + 1
	TypeSnapshot
	TypeAssign
	TypeReady
	TypeSet
	TypeDelete
	TypeAck
	TypeMessage
	TypeCall
	TypeReply
	TypeDrain
	TypeBye
	TypeStandby
	TypeWake
	TypeInner
	TypeTickets
)

var typeNames = [...]string{
	TypeHello: "hello", TypeSnapshot: "snapshot", TypeAssign: "assign", TypeReady: "ready", TypeSet: "set", TypeDelete: "delete",
	TypeAck: "ack", TypeMessage: "message", TypeCall: "call", TypeReply: "reply", TypeDrain: "drain", TypeBye: "bye",
	TypeStandby: "standby", TypeWake: "wake", TypeInner: "inner", TypeTickets: "tickets",
}

// String returns the name used in doc.go and in logs.
func (t Type) String() string {
	if t.known() {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

func (t Type) known() bool { return t > 0 && int(t) < len(typeNames) }
