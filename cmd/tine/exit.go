package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
)

// Exit statuses. An app's own status is passed on as it is, by run and start.
const (
	exitFailed      = 1   // it could not be done, or came to nothing
	exitUsage       = 2   // the command line makes no sense
	exitNotRunning  = 3   // there is no master to ask, as systemctl status has it
	exitInterrupted = 130 // by Ctrl-C, as shells have it
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitError is an error that has a status of its own. Without text it has said
// everything already.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// report says what went wrong in one line and returns the exit status.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var ended *supervisor.ExitError
	if errors.As(err, &ended) { // its log line has said why
		return ended.Code
	}
	var own *exitError
	if errors.As(err, &own) && own.text == "" {
		return own.code
	}
	fmt.Fprintf(w, "tine: %v\n", err)
	var usage usageError
	var refusal *control.Refusal
	var lost *lostMaster
	switch {
	case own != nil:
		return own.code
	case errors.As(err, &usage), errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest:
		return exitUsage
	case errors.Is(err, control.ErrNotRunning), errors.As(err, &lost):
		return exitNotRunning
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}
