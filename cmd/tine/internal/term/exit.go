package term

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tinehq/tine/supervisor/control"
)

// Exit statuses. An app's own status is passed on as it is, by run and start.
const (
	ExitFailed      = 1   // it could not be done, or came to nothing
	ExitUsage       = 2   // the command line makes no sense
	ExitNotRunning  = 3   // there is no master to ask, as systemctl status has it
	ExitInterrupted = 130 // by Ctrl-C, as shells have it
)

// usageError is the error of a wrong command line: the exit status is exitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes err, which is not nil, the error of a wrong command line. errors.Is and errors.As still find err.
func Usage(err error) error { return usageError{err} }

// Usagef is usage for fmt.Errorf(format, args...).
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// ExitError is an error that has a status of its own. Without text it has said
// everything already.
type ExitError struct {
	Code int
	Text string
}

func (e *ExitError) Error() string { return e.Text }

// Report says what went wrong in one line and returns the exit status.
func Report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var own *ExitError
	if errors.As(err, &own) && own.Text == "" {
		return own.Code
	}
	fmt.Fprintf(w, "tine: %v\n", err)
	var wrong usageError
	var refusal *control.Refusal
	switch {
	case own != nil:
		return own.Code
	case errors.As(err, &wrong), errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest:
		return ExitUsage
	case errors.Is(err, control.ErrNotRunning):
		return ExitNotRunning
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	return ExitFailed
}
