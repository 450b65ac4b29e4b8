package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/worker/gate"
)

const (
	// mostHead bounds the head of an answer, in bytes.
	mostHead = 1 << 20
	// inlineBody is how long a body may be to be sent before the answer is looked for, in bytes: the socket's buffers take it, whether
	// the member reads it or not. A longer one is sent beside, as the member may answer before it has read all.
	inlineBody = 64 << 10
)

// attempt sends the request to one member, and the answer to the client. An error that is no *unanswered comes after the answer has
// begun: it is told, and the request is over.
func (f *forwarding) attempt(pick gate.Pick) (gate.Outcome, error) {
	to, ctx := pick.Member().Address, f.r.Context()
	u, err := f.proxy.pool.take(ctx, to, f.proxy.options.DialTimeout)
	if err == nil {
		err = f.exchange(u)
		if early := (*unanswered)(nil); u.reused && errors.As(err, &early) && early.status == 0 && !f.body.touched.Load() && idempotent(f.r.Method) &&
			!errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			// The member has closed an idle connection at the very moment. That says nothing of the member.
			if u, err = f.proxy.pool.dial(ctx, to, f.proxy.options.DialTimeout); err == nil {
				err = f.exchange(u)
			}
		}
	}
	if early := (*unanswered)(nil); err != nil && !errors.As(err, &early) && u == nil {
		err = &unanswered{err: err}
	}
	return f.outcome(err), err
}

// outcome is what the end of an attempt says of the member.
func (f *forwarding) outcome(err error) gate.Outcome {
	early, cut := (*unanswered)(nil), (*cutError)(nil)
	switch {
	case f.r.Context().Err() != nil, errors.As(err, &early) && early.client, errors.As(err, &cut) && cut.client:
		return gate.Cancelled
	case errors.As(err, &early) && !early.sent:
		return gate.Refused
	case err != nil, f.access.Status >= http.StatusBadGateway && f.access.Status <= http.StatusGatewayTimeout:
		return gate.Failed
	}
	return gate.Answered
}

// cutError: an answer has begun and was not completed.
type cutError struct {
	err    error
	client bool // it is the client that has gone
}

func (e *cutError) Error() string { return "the answer was cut off: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// exchange sends the request on a connection and passes the answer on. It takes over u.
func (f *forwarding) exchange(u *upstream) (err error) {
	keep := false
	defer func() {
		if !keep {
			u.Close()
		}
	}()
	// When the client goes, what waits for the member is to end.
	stop := context.AfterFunc(f.r.Context(), func() { _ = u.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sending := f.send(u)
	defer sending.end(u, &f.body)
	res, err := f.answer(u, sending)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	f.access.Status = res.StatusCode
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !stop() {
			return &unanswered{err: context.Cause(f.r.Context()), sent: true}
		}
		return f.tunnel(u, res)
	}
	if slices.Contains(f.proxy.options.RetryStatus, res.StatusCode) && !f.body.touched.Load() && idempotent(f.r.Method) {
		return &unanswered{err: fmt.Errorf("it answered %s", res.Status), status: res.StatusCode, sent: true}
	}
	if err := f.pass(res); err != nil {
		return err
	}
	sending.end(u, &f.body)
	keep = !res.Close && sending.done() && u.in.Buffered() == 0 && stop()
	if keep {
		_ = u.SetDeadline(time.Time{})
		u.put()
	}
	return nil
}

// sending is the request on its way to the member.
type sending struct {
	wg       sync.WaitGroup
	abort    func() // ends the goroutine, if there is one
	mu       sync.Mutex
	over     bool // all is sent, or cannot be
	err      error
	answered bool // the head of the answer is there
}

// send writes the request: at once, or, if its body is long, in a goroutine that ends with the exchange.
func (f *forwarding) send(u *upstream) *sending {
	s := &sending{abort: func() {}}
	f.write(u.out)
	n := f.r.ContentLength
	if n >= 0 && n <= inlineBody {
		var err error
		if n > 0 {
			err = f.sendBody(u)
		}
		f.sent(s, u, errors.Join(err, u.out.Flush()))
		return s
	}
	// Else the server reads the rest of the body before it sends the first byte of the answer. HTTP/2 does both anyway.
	_ = http.NewResponseController(f.w).EnableFullDuplex()
	s.abort = func() { _ = http.NewResponseController(f.w).SetReadDeadline(time.Unix(1, 0)) } // ends a read of the client's body
	s.wg.Go(func() {
		err := f.sendBody(u)
		if err == nil {
			err = u.out.Flush()
		}
		f.sent(s, u, err)
	})
	return s
}

// sendBody copies the body, in chunks where its length is not known, each sent on as it comes.
func (f *forwarding) sendBody(u *upstream) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	chunked := f.r.ContentLength < 0
	if chunked {
		if err := u.out.Flush(); err != nil {
			return err
		}
	}
	for {
		n, err := f.body.Read(*b)
		if n > 0 {
			if chunked {
				fmt.Fprintf(u.out, "%x\r\n", n)
			}
			u.out.Write((*b)[:n])
			if chunked {
				u.out.WriteString("\r\n")
				if err := u.out.Flush(); err != nil {
					return err
				}
			}
		}
		switch {
		case err == io.EOF:
			if chunked {
				u.out.WriteString("0\r\n")
				for name, values := range f.r.Trailer {
					for _, v := range values {
						header(u.out, name, v)
					}
				}
				u.out.WriteString("\r\n")
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// sent notes that the request is sent, or cannot be, and from here on bounds the wait for the answer. Where the client's body has
// failed no answer is waited for.
func (f *forwarding) sent(s *sending, u *upstream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err = true, err
	switch {
	case s.answered:
	case f.body.failed.Load():
		_ = u.SetReadDeadline(time.Unix(1, 0))
	default:
		_ = u.SetReadDeadline(time.Now().Add(f.proxy.options.AnswerTimeout))
	}
}

func (s *sending) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over && s.err == nil
}

// headRead notes that the answer is there: its body may take its time.
func (s *sending) headRead(u *upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
	_ = u.SetReadDeadline(time.Time{})
}

// lastWrite bounds the wait for the last bytes of a body to be written, once its answer is over.
const lastWrite = time.Second

// end waits for the end of what still sends: the answer is over, or none comes. A body that the client has not sent whole is not
// waited for; its connection ends with this request then.
func (s *sending) end(u *upstream, body *body) {
	if !s.done() {
		if body.ended.Load() {
			_ = u.SetWriteDeadline(time.Now().Add(lastWrite))
		} else {
			_ = u.SetWriteDeadline(time.Unix(1, 0))
			s.abort()
		}
	}
	s.wg.Wait()
}

// answer reads the head of the answer, and passes on the interim ones before it.
func (f *forwarding) answer(u *upstream, s *sending) (*http.Response, error) {
	u.limit.N = mostHead
	if _, err := u.in.Peek(1); err != nil {
		if f.body.failed.Load() {
			return nil, &unanswered{err: errors.New("the client's body ended early"), sent: true, client: true}
		}
		return nil, &unanswered{err: err, sent: true}
	}
	for range mostInterim {
		res, err := http.ReadResponse(u.in, f.r)
		if err != nil {
			return nil, &unanswered{err: fmt.Errorf("its answer cannot be read: %w", err), sent: true}
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			u.limit.N = math.MaxInt64
			s.headRead(u)
			if err := f.r.Context().Err(); err != nil { // its deadline may just have been lifted
				res.Body.Close()
				return nil, &unanswered{err: err, sent: true, client: true}
			}
			return res, nil
		}
		if res.StatusCode == http.StatusEarlyHints {
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
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	if res.StatusCode >= http.StatusBadRequest && f.r.ContentLength != 0 && !f.body.ended.Load() {
		h.Set("Connection", "close") // the rest of the body is not wanted
	}
	f.w.WriteHeader(res.StatusCode)
	stream := res.ContentLength < 0 || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
	if err := f.passBody(res.Body, stream); err != nil {
		return err
	}
	for name, values := range res.Trailer {
		h[http.TrailerPrefix+name] = values
		h[name] = values
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
			return &cutError{err, f.r.Context().Err() != nil}
		}
	}
}

// buffers are for bodies that pass.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
