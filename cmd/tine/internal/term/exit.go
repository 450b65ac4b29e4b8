package term

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Exit statuses of tine. The commands run and start also end with the status of a master or of its only app.
const (
	ExitFailed      = 1   // the command failed
	ExitUsage       = 2   // the command line is wrong
	ExitNotRunning  = 3   // no master runs that could answer; systemctl status has the same number
	ExitInterrupted = 130 // by Ctrl-C; shells have the same number
)

// usageError is the error of a wrong command line: the exit status is ExitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes err, which is not nil, the error of a wrong command line. errors.Is and errors.As still find err.
func Usage(err error) error { return usageError{err} }

// Usagef is Usage for fmt.Errorf(format, args...).
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// ExitError is an error with an exit status of its own.
type ExitError struct {
	Code int
	Text string // empty: everything is printed already, and Report prints nothing
}

func (e *ExitError) Error() string { return e.Text }

// Report prints err in one line on w and returns the exit status; nil is 0, and prints nothing.
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
	var refusal *api.Refusal
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
