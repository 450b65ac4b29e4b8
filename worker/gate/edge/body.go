package edge

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// bounded is next for requests whose bodies, and answers on HTTP/2, have bounds.
func (e *Edge) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := e.options.Limits.Body
		if most > 0 && r.ContentLength > most {
			w.Header().Set("Connection", "close") // the body is not read
			http.Error(w, fmt.Sprintf("413 Request Entity Too Large: the body has %d bytes, and at most %d are taken", r.ContentLength, most), http.StatusRequestEntityTooLarge)
			return
		}
		rate := e.options.Limits.Rate
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			rate = -1
		}
		if r.Body != nil && r.Body != http.NoBody && (most > 0 || rate > 0) {
			b := &body{ReadCloser: r.Body, left: most, most: most, rate: rate, credit: e.grace}
			if rate > 0 {
				b.late = newAlarm(http.NewResponseController(w).SetReadDeadline)
				defer b.late.end()
			}
			asked := *r
			asked.Body = b
			r = &asked
		}
		if r.ProtoMajor == 2 && rate > 0 {
			s := &stream{ResponseWriter: w, rate: rate, grace: e.grace}
			s.late = newAlarm(http.NewResponseController(w).SetWriteDeadline)
			defer s.late.end()
			w = s
		}
		next.ServeHTTP(w, r)
	})
}

// body is the body of a request. One goroutine reads it at a time.
type body struct {
	io.ReadCloser
	most, left int64 // bytes; most 0: not bounded

	rate   int           // bytes/s; less than 1: not bounded
	credit time.Duration // for which it may be silent
	late   *alarm        // ends the read that waits
	err    error         // why it has ended
}

// Read reads from the client. Time for which it waits is taken from the credit, and what comes adds to it.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.most > 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.paced(p)
	if b.most > 0 {
		if int64(n) > b.left {
			n, err = int(b.left), &http.MaxBytesError{Limit: b.most}
		}
		b.left -= int64(n)
	}
	b.err = err
	return n, err
}

func (b *body) paced(p []byte) (int, error) {
	if b.rate <= 0 {
		return b.ReadCloser.Read(p)
	}
	began := time.Now()
	b.late.set(b.credit)
	n, err := b.ReadCloser.Read(p)
	if !b.late.stop() {
		return n, ErrSlow
	}
	b.credit = min(b.credit-time.Since(began)+time.Duration(n)*time.Second/time.Duration(b.rate), mostCredit)
	if b.credit <= 0 {
		b.credit = time.Millisecond // the timer is about to say so
	}
	return n, err
}

// stream is the answer on one stream of HTTP/2. Its client has a window of its own, by which it may stop this answer alone.
type stream struct {
	http.ResponseWriter
	rate  int
	grace time.Duration
	late  *alarm // resets the stream
}

// Write writes p, for which the client has the time of its bytes and of grace.
func (s *stream) Write(p []byte) (int, error) {
	written := 0
	for {
		part := p[written:min(len(p), written+piece)]
		s.late.set(s.grace + time.Duration(len(part))*time.Second/time.Duration(s.rate))
		n, err := s.ResponseWriter.Write(part)
		written += n
		if !s.late.stop() {
			return written, ErrSlow
		}
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// piece is how much is written at a time, in bytes: what HTTP/2 sends before it waits.
const piece = 4 << 10

// FlushError sends what is written.
func (s *stream) FlushError() error {
	s.late.set(s.grace + piece*time.Second/time.Duration(s.rate))
	err := http.NewResponseController(s.ResponseWriter).Flush()
	if !s.late.stop() {
		return ErrSlow
	}
	return err
}

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// alarm ends what waits, by a deadline of http.ResponseController. That must not be used once the handler has returned.
type alarm struct {
	timer    *time.Timer
	mu       sync.Mutex
	returned bool
}

func newAlarm(deadline func(time.Time) error) *alarm {
	a := &alarm{}
	a.timer = time.AfterFunc(time.Hour, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.returned {
			_ = deadline(time.Unix(1, 0))
		}
	})
	a.timer.Stop()
	return a
}

func (a *alarm) set(d time.Duration) { a.timer.Reset(d) }

// stop reports whether the alarm has not gone off.
func (a *alarm) stop() bool { return a.timer.Stop() }

// end is called when the handler returns.
func (a *alarm) end() {
	a.timer.Stop()
	a.mu.Lock()
	a.returned = true
	a.mu.Unlock()
}
