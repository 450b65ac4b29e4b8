package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Commander is the master, as the server sees it. Package supervisor implements it.
//
// All methods are safe for concurrent use and return soon after their context ends.
// What the caller is to blame for is a [*Refusal], with the status that fits; every
// other error is the master's own fault and becomes a 500. A name that is unknown is
// refused with 404 and, if one is near, a suggestion.
type Commander interface {
	// Status returns a copy that the caller may keep and change.
	Status(ctx context.Context) (Status, error)

	// Do carries an order out to its end and returns what came of it: nil when it was
	// done, a *Refusal when it was not begun, another error when it failed, such as an
	// aborted rollout. The end of ctx ends the wait, and not the order.
	//
	// progress, which may be nil, is called from one goroutine at a time, and never
	// after Do has returned. It may take up to Options.WriteTimeout: whoever calls it
	// must not hold up the master meanwhile. The last call may be the Final one; where
	// there is none, the server makes it from the error.
	Do(ctx context.Context, order Order, progress func(Progress)) error

	// Events gives yield the events that are kept with an id greater than after, in
	// their order, and with follow those that come, until ctx ends or yield returns an
	// error, which it then returns. (The end of the master ends it with nil.) An
	// after that is greater than any id means that the master was started anew: all
	// that are kept. yield is called from the calling goroutine and may take up to
	// Options.WriteTimeout: what comes meanwhile waits in a bounded queue of this
	// reader, and what does not fit is counted in Event.Missed.
	Events(ctx context.Context, after uint64, follow bool, yield func(Event) error) error

	// Logs gives yield the lines that q chooses, oldest first, as Events does. A Grep
	// that is no regular expression is refused with 400.
	Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error

	// Value returns one cached value, and what is known of it. The caller owns the bytes.
	Value(ctx context.Context, key string) ([]byte, CacheValue, error)
	// SetValue changes a value for all workers. It returns the epoch of the value, which
	// is that of before if it was equal. It keeps data.
	SetValue(ctx context.Context, key string, data []byte) (epoch uint64, err error)
	DeleteValue(ctx context.Context, key string) error

	// Config returns the effective config as YAML, secrets left out.
	Config(ctx context.Context) (yaml []byte, err error)
	// Apply reads the config's files again. A config with errors changes nothing: 422.
	Apply(ctx context.Context, request ApplyRequest) (ApplyResult, error)

	// Call asks one worker, by its id, over its channel. One that does not answer
	// calls is refused with 501.
	Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error)
}

// Refusal is an answer that is an error: a problem document of RFC 9457. The server
// makes the document of it, and the client makes it of the document.
type Refusal struct {
	Status     int    `json:"status"` // of HTTP, 400 to 599
	Title      string `json:"title"`  // what kind of error, the same each time
	Detail     string `json:"detail,omitempty"`
	Suggestion string `json:"suggestion,omitempty"` // the word that was probably meant
	Field      string `json:"field,omitempty"`      // of the body or query
	Line       int    `json:"line,omitempty"`       // of the body, from 1
	Column     int    `json:"column,omitempty"`     // in bytes, from 1
}

// titleEnding tells a client that nothing was begun, and that another master may be
// there in a moment.
const titleEnding = "The master is ending"

// Ending is the answer of a master that has begun nothing because it is ending.
func Ending() *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Title: titleEnding, Detail: "the master is ending"}
}

// ErrCut is what a Commander returns for an order that was begun and whose end it cannot
// tell, because the master has ended before. Who waits for it sees its connection end.
var ErrCut = errors.New("the master has ended while the order was under way")

// Error is one line for people.
func (r *Refusal) Error() string {
	text := r.Detail
	if text == "" {
		text = r.Title
	}
	if text == "" {
		text = http.StatusText(r.Status)
	}
	if r.Suggestion != "" {
		text += fmt.Sprintf(" (did you mean %s?)", r.Suggestion)
	}
	return text
}

// Refuse makes a Refusal whose title is that of the status.
func Refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Title: http.StatusText(status), Detail: fmt.Sprintf(format, args...)}
}

// Unknown makes the Refusal for a name that is not there: what is such as "app", and
// the nearest of the known names is suggested.
func Unknown(what, name string, known []string) *Refusal {
	r := Refuse(http.StatusNotFound, "there is no %s %q", what, name)
	r.Suggestion = Nearest(name, known)
	return r
}
