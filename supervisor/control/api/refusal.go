package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
)

// Refusal is an answer that is an error: a problem document of RFC 9457. The server
// writes it as the document, and the client reads it from the document.
type Refusal struct {
	Status     int    `json:"status"` // of HTTP, 400 to 599
	Title      string `json:"title"`  // what kind of error, the same each time
	Detail     string `json:"detail,omitempty"`
	Suggestion string `json:"suggestion,omitempty"` // the word that was probably meant
	Field      string `json:"field,omitempty"`      // of the body or query
	Line       int    `json:"line,omitempty"`       // of the body, from 1
	Column     int    `json:"column,omitempty"`     // in bytes, from 1
}

// TitleEnding tells a client that nothing was begun, and that another master may be
// there in a moment.
const TitleEnding = "The master is ending"

// Ending is the answer of a master that has begun nothing because it is ending.
func Ending() *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Title: TitleEnding, Detail: "the master is ending"}
}

// ErrCut is what a Commander returns for an order that was begun and whose end it cannot
// tell, because the master has ended before. The client's connection ends with it.
var ErrCut = errors.New("the master has ended while the order was under way")

// Error is one line for people.
func (r *Refusal) Error() string {
	text := cmp.Or(r.Detail, r.Title, http.StatusText(r.Status))
	if r.Suggestion != "" {
		text += fmt.Sprintf(" (did you mean %s?)", r.Suggestion)
	}
	return text
}

// Refuse makes a Refusal whose title is that of the status.
func Refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Title: http.StatusText(status), Detail: fmt.Sprintf(format, args...)}
}

// WrongField makes the Refusal of one field of a request, with 422.
func WrongField(field, format string, args ...any) *Refusal {
	r := Refuse(http.StatusUnprocessableEntity, format, args...)
	r.Field = field
	return r
}

// Unknown makes the Refusal for a name that is not there: what is such as "app", and
// the nearest of the known names is suggested.
func Unknown(what, name string, known []string) *Refusal {
	r := Refuse(http.StatusNotFound, "there is no %s %q", what, name)
	r.Suggestion = Nearest(name, known)
	return r
}
