package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

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
