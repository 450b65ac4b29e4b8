package ipc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull is returned by Outbox.Send when as much as allowed is already waiting.
	ErrFull = errors.New("outbox is full")
	// ErrClosed is returned by an Outbox that has been closed or has lost its channel.
	ErrClosed = errors.New("outbox is closed")
	// ErrTooLarge is wrapped by errors about a payload that is longer than allowed.
	ErrTooLarge = errors.New("payload is too large")
)

// ProtocolError says in which way the peer broke the wire format. The channel is unusable after it: what follows on
// the stream has no known meaning.
type ProtocolError struct {
	Frame   string // "header", or the name of the frame
	Problem string // what is wrong, with the value that was found and what is allowed
}

func (e *ProtocolError) Error() string {
	return "protocol violation in " + e.Frame + ": " + e.Problem
}

func violation(frame, format string, args ...any) *ProtocolError {
	return &ProtocolError{Frame: frame, Problem: fmt.Sprintf(format, args...)}
}

// LostFilesError says that descriptors which the peer sent could not be taken in, for a limit of this process.
// The peer has done nothing wrong, but the channel is unusable after it: frames have lost their descriptors.
type LostFilesError struct {
	Limit string // its name
	Value uint64
}

func (e *LostFilesError) Error() string {
	return fmt.Sprintf("descriptors were lost: this process has none free (%s is %d)", e.Limit, e.Value)
}

func newLostFilesError() error {
	e := &LostFilesError{Limit: "RLIMIT_NOFILE"}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		e.Value = l.Cur
	}
	return e
}
