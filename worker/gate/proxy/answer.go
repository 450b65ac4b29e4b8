package proxy

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
)

// answer reads the head of the answer, and passes on the interim ones before it.
func (f *forwarding) answer(u *upstream, s *sending) (*http.Response, error) {
	u.limit.N = mostHead
	err := error(nil)
	if f.ticketed {
		err = f.await(u, s)
	} else {
		_, err = u.in.Peek(1)
	}
	if err != nil {
		if errors.As(err, new(*withdrawn)) {
			return nil, err
		}
		if f.body.failed.Load() {
			return nil, &unanswered{err: fmt.Errorf("the client's body ended early: %w", f.body.fault), sent: true, client: true}
		}
		return nil, &unanswered{err: err, sent: true, silent: true}
	}
	for range mostInterim {
		res, err := http.ReadResponse(u.in, f.r)
		switch {
		case err == nil:
		case s.late(): // net/http calls what has come by then malformed
			return nil, &unanswered{err: fmt.Errorf("the head of its answer was not whole in time: %w", os.ErrDeadlineExceeded), sent: true}
		default: // the text may quote the member, at length
			return nil, &unanswered{err: fmt.Errorf("its answer cannot be read: %.200v", err), sent: true}
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			u.limit.N = math.MaxInt64
			s.headRead(u)
			return res, nil
		}
		if res.StatusCode == http.StatusEarlyHints && f.r.ProtoAtLeast(1, 1) { // HTTP/1.0 has no interim answers
			f.w.Header()["Link"] = res.Header["Link"]
			f.w.WriteHeader(http.StatusEarlyHints)
			f.w.Header().Del("Link")
		}
	}
	return nil, &unanswered{err: fmt.Errorf("it sends more than %d interim answers", mostInterim), sent: true}
}

const mostInterim = 16

// pass sends the answer to the client.
func (f *forwarding) pass(res *http.Response) error {
	h := f.w.Header()
	connection := named(res.Header)
	for name, values := range res.Header {
		if !ofOneConnection[name] && !connection[name] && name != "X-Request-Id" {
			h[name] = values
		}
	}
	if res.Header["Content-Type"] == nil {
		h["Content-Type"] = nil // else the server guesses one
	}
	declared := map[string]bool{}
	for name := range res.Trailer {
		if mayTrail(name) {
			declared[name] = true
			h.Add("Trailer", name)
		}
	}
	if f.r.ProtoMajor == 1 && f.r.ContentLength != 0 && !f.body.ended.Load() {
		// The answer is early. What the client sends of its body after the answer is read by nothing, and must not be taken for a request.
		h.Set("Connection", "close")
	}
	f.mark(h, res.StatusCode)
	f.w.WriteHeader(res.StatusCode)
	stream := res.ContentLength < 0 || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
	if err := f.passBody(res.Body, stream); err != nil {
		return err
	}
	for name, values := range res.Trailer {
		switch {
		case declared[name]:
			h[name] = values
		case mayTrail(name):
			h[http.TrailerPrefix+name] = values
		}
	}
	return nil
}

// passBody copies a body to the client. Of a stream each piece is sent on as it comes.
func (f *forwarding) passBody(from io.Reader, stream bool) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	flush := http.NewResponseController(f.w)
	if stream {
		if err := flush.Flush(); err != nil {
			return &cutError{err, true}
		}
	}
	for {
		n, err := from.Read(*b)
		if n > 0 {
			if _, err := f.w.Write((*b)[:n]); err != nil {
				return &cutError{err, true}
			}
			if stream {
				if err := flush.Flush(); err != nil {
					return &cutError{err, true}
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &cutError{err, f.gone() || f.body.failed.Load()}
		}
	}
}

// buffers are for bodies that pass.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
