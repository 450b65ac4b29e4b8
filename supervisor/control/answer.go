package control

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// maxWrite is the most that is written under one deadline, so that a slow reader is
// told from one that does not read.
const maxWrite = 32 << 10

// answerWriter gives each write a deadline of its own.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	begun   bool
}

// Unwrap is what http.ResponseController looks for.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A writer without deadlines, such as one of a test, does without.
func (w *answerWriter) setDeadline()   { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }
func (w *answerWriter) resetDeadline() { _ = w.control.SetWriteDeadline(time.Time{}) }

func (w *answerWriter) setReadDeadline(t time.Time) { _ = w.control.SetReadDeadline(t) }

// dropBody ends the connection with this answer instead of waiting for the rest of a
// body that is not used.
func (w *answerWriter) dropBody() {
	w.Header().Set("Connection", "close")
	w.setReadDeadline(time.Now())
}

func (w *answerWriter) WriteHeader(status int) {
	w.begun = true
	w.setDeadline()
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (n int, err error) {
	w.begun = true
	for first := true; first || n < len(p); first = false {
		w.setDeadline()
		m, err := w.ResponseWriter.Write(p[n:min(len(p), n+maxWrite)])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// FlushError is what http.ResponseController.Flush calls.
func (w *answerWriter) FlushError() error {
	w.begun = true
	w.setDeadline()
	return w.control.Flush()
}

// Flush is for handlers that look for an http.Flusher.
func (w *answerWriter) Flush() { _ = w.FlushError() }

// Problem answers with the error's document, for handlers that are mounted by others.
func Problem(w http.ResponseWriter, r *api.Refusal) {
	doc := *r
	if doc.Status < 400 || doc.Status > 599 {
		doc.Status = http.StatusInternalServerError
	}
	doc.Title = cmp.Or(doc.Title, http.StatusText(doc.Status))
	writeJSON(w, doc.Status, typeProblem, doc)
}

// writeJSON answers with one document. An error of the writer is dropped: the client is gone.
func writeJSON(w http.ResponseWriter, status int, contentType string, doc any) {
	var body bytes.Buffer
	if err := encode(&body, doc); err != nil {
		status, contentType = http.StatusInternalServerError, typeText
		body.Reset()
		fmt.Fprintln(&body, err)
	}
	writeBody(w, status, contentType, body.Bytes())
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encode writes doc and a newline.
func encode(b *bytes.Buffer, doc any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	return nil
}
