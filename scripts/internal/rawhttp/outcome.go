package rawhttp

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Outcome is what became of one request.
type Outcome uint8

const (
	OK          Outcome = iota
	Refused             // no process listened
	Unconnected         // no connection for another reason
	Reset               // the connection was reset, before or in the answer
	EOF                 // closed before the first byte of the answer
	Cut                 // closed in the answer
	Malformed           // what came was no HTTP answer
	BadStatus           // an answer with another status than 200; see Answer.Status
	BadBody             // for the caller: an answer with another body than it must have
	Timeout             // no whole answer by the deadline
	outcomes
)

var outcomeNames = [outcomes]string{
	OK: "ok", Refused: "refused", Unconnected: "unconnected", Reset: "reset", EOF: "eof", Cut: "cut", Malformed: "malformed",
	BadStatus: "bad status", BadBody: "bad body", Timeout: "timeout",
}

func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes are all of them, in order.
func Outcomes() []Outcome {
	all := make([]Outcome, outcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

func dialOutcome(err error) Outcome {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	case isTimeout(err):
		return Timeout
	}
	return Unconnected
}

// failure names an error on an established connection; began: a byte of the answer
// had come.
func failure(err error, began bool) Outcome {
	switch {
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return Reset
	case isTimeout(err):
		return Timeout
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if began {
			return Cut
		}
		return EOF
	}
	return Malformed
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
