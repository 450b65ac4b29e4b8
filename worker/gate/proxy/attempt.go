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

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
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
	if _, f.ticketed = pick.Ticket(); f.ticketed {
		f.body.most = max(f.body.most, inlineBody)
	}
	if f.proxy.options.HTTP2 && !f.ticketed && upgradeOf(f.r) == "" {
		err := f.attemptHTTP2(to)
		return f.outcome(err), err
	}
	u, err := f.proxy.pool.take(ctx, to, f.proxy.options.DialTimeout)
	if err == nil {
		reused := u.reused // after the exchange u may already be another request's
		err = f.exchange(u)
		if f.neverBegan(err) {
			// What has ended was idle before, so that this says nothing of the member; or its worker has died, which is as if it had refused.
			err = &unanswered{err: fmt.Errorf("it had not begun: %w", err), lost: true, idle: reused}
		} else if early := (*unanswered)(nil); reused && !f.ticketed && errors.As(err, &early) && early.silent && f.body.rewind() && idempotent(f.r.Method) &&
			!errors.Is(err, os.ErrDeadlineExceeded) && !f.gone() {
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
	early, cut, wish := (*unanswered)(nil), (*cutError)(nil), (*replayed)(nil)
	switch {
	case errors.As(err, &wish):
		return gate.Answered
	case f.gone(), errors.As(err, &early) && (early.client || early.idle), errors.As(err, new(*withdrawn)), errors.As(err, &cut) && cut.client:
		return gate.Cancelled
	case errors.As(err, &early) && !early.sent:
		return gate.Refused
	case err != nil, f.hasFailed(f.access.Status):
		return gate.Failed
	}
	return gate.Answered
}

// hasFailed reports whether a member says with a status that it, and not the request, is at fault.
func (f *forwarding) hasFailed(status int) bool {
	return slices.Contains(f.proxy.options.FailStatus, status)
}

// learn has the picker learn of the head of an answer that is passed on. How long the rest takes says nothing of the member: a stream or a
// tunnel lasts as long as it is wanted, and a download as long as the client needs for it.
func (f *forwarding) learn() {
	f.learned = true
	f.access.Begun = f.ticketed && f.pick.State() == tickets.Begun
	if f.hasFailed(f.access.Status) {
		f.conclude(gate.Failed, nil)
	} else {
		f.conclude(gate.Answered, nil)
	}
}

// conclude says how the attempt that is being made went. err is nil where the member has answered with a status.
func (f *forwarding) conclude(how gate.Outcome, err error) {
	f.pick.Learn(ipc.Monotonic(), how)
	if f.proxy.options.Outcome == nil || how == gate.Cancelled {
		return
	}
	why := ""
	switch {
	case how == gate.Answered:
	case err != nil:
		why = err.Error()
	default:
		why = fmt.Sprintf("it answered %d %s", f.access.Status, http.StatusText(f.access.Status))
	}
	f.proxy.options.Outcome(f.pick.Member().ID, how, why)
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
	defer sending.end(u)
	res, err := f.answer(u, sending)
	if err == nil {
		err = f.notBegun(res)
	}
	if err != nil {
		if errors.As(err, new(*withdrawn)) && stop() {
			keep, f.holds = true, false
			f.proxy.follow(u, f.pick)
		}
		return err
	}
	// res.Body is never closed: that would read it to its end. What is not wanted of it ends with the connection.
	if err := f.wantsReplay(res.Header); err != nil {
		sending.leave(u)
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if sending.end(u); !sending.done() {
			return &unanswered{err: errors.New("it changes the protocol before it has the whole request"), sent: true}
		}
		if !stop() {
			return &unanswered{err: context.Cause(f.r.Context()), sent: true}
		}
		err := f.tunnel(u, res)
		keep = f.tunnelled
		return err
	}
	if slices.Contains(f.proxy.options.RetryStatus, res.StatusCode) && f.body.again() && idempotent(f.r.Method) {
		return &unanswered{err: fmt.Errorf("it answered %s", res.Status), status: res.StatusCode, sent: true}
	}
	f.access.Status = res.StatusCode
	f.learn()
	if err := f.pass(res); err != nil {
		return err
	}
	sending.end(u)
	keep = !res.Close && sending.done() && u.in.Buffered() == 0 && stop()
	if keep {
		_ = u.SetDeadline(time.Time{})
		u.put()
	}
	return nil
}

// sending is the request on its way to the member.
type sending struct {
	of       *forwarding
	wg       sync.WaitGroup
	mu       sync.Mutex
	over     bool // all is sent, or cannot be
	err      error
	answered bool // the head of the answer is there

	answerBy time.Time // zero: the request is not sent yet
	lookAt   time.Time // when the ticket of a request that has not begun is looked at; zero: it is not
}

// send writes the request: at once, or, if its body is long, in a goroutine that ends with the exchange.
func (f *forwarding) send(u *upstream) *sending {
	s := &sending{of: f}
	if f.ticketed {
		s.look(u, time.Now().Add(withdrawAfter))
	}
	f.write(u.out, u.to)
	n := f.r.ContentLength
	if n >= 0 && n <= inlineBody {
		var err error
		if n > 0 {
			err = f.sendBody(u)
		}
		s.sent(u, errors.Join(err, u.out.Flush()))
		return s
	}
	// The head goes first: the member may answer before there is a body. If it cannot be sent, no byte of the body is asked for.
	if err := u.out.Flush(); err != nil {
		s.sent(u, err)
		return s
	}
	// Else the server reads the rest of the body before it sends the first byte of the answer. HTTP/2 does both anyway.
	_ = http.NewResponseController(f.w).EnableFullDuplex()
	s.wg.Go(func() {
		err := f.sendBody(u)
		if err == nil {
			err = u.out.Flush()
		}
		s.sent(u, err)
	})
	return s
}

// sendBody copies the body, in chunks where its length is not known, each sent on as it comes.
func (f *forwarding) sendBody(u *upstream) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	chunked := f.r.ContentLength < 0
	for {
		n, err := f.body.Read(*b)
		if n > 0 {
			if chunked {
				fmt.Fprintf(u.out, "%x\r\n", n)
			}
			if _, err := u.out.Write((*b)[:n]); err != nil {
				return err
			}
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
					if !mayTrail(name) {
						continue
					}
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
// failed, neither an answer nor the rest of one is waited for: the member may wait for the body.
func (s *sending) sent(u *upstream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err = true, err
	s.answerBy = time.Now().Add(s.of.proxy.options.AnswerTimeout)
	s.bound(u)
}

// bound sets the deadline of the answer. It is called with mu held.
func (s *sending) bound(u *upstream) {
	by := s.answerBy
	if !s.lookAt.IsZero() && (by.IsZero() || s.lookAt.Before(by)) {
		by = s.lookAt
	}
	if s.answered {
		by = time.Time{}
	}
	_ = u.SetReadDeadline(by)
	if s.of.body.failed.Load() || s.of.r.Context().Err() != nil { // the deadline that the client's end has set may just be lost
		_ = u.SetReadDeadline(time.Unix(1, 0))
	}
}

// look has a read of the answer end at a time, so that the ticket can be looked at; zero: it does not.
func (s *sending) look(u *upstream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookAt = at
	s.bound(u)
}

// untilLook reports whether it was for the look that a read has ended, and not as the time for the answer is over or the client is gone.
func (s *sending) untilLook() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lookAt.IsZero() && (s.answerBy.IsZero() || time.Now().Before(s.answerBy)) && !s.of.body.failed.Load() && s.of.r.Context().Err() == nil
}

func (s *sending) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over && s.err == nil
}

// late reports whether the time for the answer is over.
func (s *sending) late() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.answerBy.IsZero() && !time.Now().Before(s.answerBy)
}

// headRead notes that the answer is there: its body may take its time, as long as the client is there and its own body is whole.
func (s *sending) headRead(u *upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
	s.bound(u)
}

const (
	// lastWrite bounds the wait for the last bytes of a body to be written, once its answer is over.
	lastWrite = time.Second
	// lastRead bounds how long the server reads what a client still sends of a body that is not wanted. Where a connection is closed
	// with bytes unread, the client may lose the answer.
	lastRead = 500 * time.Millisecond
)

// end waits for the end of what still sends: the answer is over, or none comes. A body that the client has not sent whole is not
// waited for; its connection ends with this request then.
func (s *sending) end(u *upstream) {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	switch f := s.of; {
	case over:
	case f.body.ended.Load():
		_ = u.SetWriteDeadline(time.Now().Add(lastWrite))
	default:
		// A read that ends so also ends the context of the request, which says no more of the client from here on.
		f.stopped = f.r.Context().Err() == nil
		client := http.NewResponseController(f.w)
		_ = u.SetWriteDeadline(time.Unix(1, 0))
		_ = client.SetReadDeadline(time.Unix(1, 0))
		s.wg.Wait()
		_ = client.SetReadDeadline(time.Now().Add(lastRead))
	}
	s.wg.Wait()
}

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
