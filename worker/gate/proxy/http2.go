package proxy

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// socketHost ends the name under which the transport knows a Unix socket: it takes no path for a host.
const socketHost = ".unix-socket.invalid"

func hostOf(address string) string {
	if filepath.IsAbs(address) {
		return hex.EncodeToString([]byte(address)) + socketHost
	}
	return address
}

func socketOf(host string) (path string, ok bool) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return "", false
	}
	text, ok := strings.CutSuffix(name, socketHost)
	if !ok {
		return "", false
	}
	b, err := hex.DecodeString(text)
	return string(b), err == nil
}

// headerMap is a sink that fills a map.
type headerMap http.Header

func (h headerMap) header(name, value string) { h[name] = append(h[name], value) }

// attemptHTTP2 sends the request to a member in HTTP/2, once more if an idle connection was about to end.
func (f *forwarding) attemptHTTP2(to string) error {
	reused, err := f.exchangeHTTP2(to)
	if early := (*unanswered)(nil); reused && errors.As(err, &early) && !early.sent && f.body.rewind() && !f.gone() {
		_, err = f.exchangeHTTP2(to) // it went away at the very moment, which says nothing of the member
	}
	return err
}

// exchangeHTTP2 sends the request on one connection and passes the answer on. reused: the connection was there before.
func (f *forwarding) exchangeHTTP2(to string) (reused bool, err error) {
	ctx, cancel := context.WithCancelCause(f.r.Context())
	defer cancel(nil)
	one := &trial{}
	ctx = context.WithValue(ctx, trialKey{}, one)
	s := &streaming{of: f}
	s.late = time.AfterFunc(f.proxy.options.AnswerTimeout, func() {
		cancel(fmt.Errorf("no answer in %s: %w", f.proxy.options.AnswerTimeout, os.ErrDeadlineExceeded))
	})
	defer s.late.Stop()
	defer s.end()
	out := f.outgoing(to)
	if f.r.ContentLength != 0 {
		s.late.Stop()                              // the body's end sets it
		f.body.most = max(f.body.most, inlineBody) // a member that goes away may have read some of it
		out.Body, s.trailer = s, out.Trailer
		out.GetBody = func() (io.ReadCloser, error) { return s, nil } // which has the transport ask for a connection again
		if f.r.ContentLength < 0 || f.r.ContentLength > inlineBody {
			_ = http.NewResponseController(f.w).EnableFullDuplex()
		}
	}
	//lint:ignore SA1019 as in conns.go
	res, err := f.proxy.http2.transport.RoundTrip(out.WithContext(ctx))
	s.answered()
	if err != nil {
		s.end()
		if why := context.Cause(ctx); why != nil {
			err = why
		}
		return one.reused, f.unansweredHTTP2(err)
	}
	defer res.Body.Close()
	if err := f.wantsReplay(res.Header); err != nil {
		return one.reused, err
	}
	if slices.Contains(f.proxy.options.RetryStatus, res.StatusCode) && f.body.again() && idempotent(f.r.Method) {
		return one.reused, &unanswered{err: fmt.Errorf("it answered %s", res.Status), status: res.StatusCode, sent: true}
	}
	f.access.Status = res.StatusCode
	f.learn()
	return one.reused, f.pass(res)
}

// outgoing is the client's request as it goes to the member at an address, without its body.
func (f *forwarding) outgoing(to string) *http.Request {
	r := f.r
	target := cmp.Or(f.choice.Target, target(r))
	at := &url.URL{Scheme: "http", Host: hostOf(to), Opaque: target}
	if parsed, err := url.ParseRequestURI(target); err == nil && strings.HasPrefix(target, "/") {
		at.Opaque, at.Path, at.RawPath, at.RawQuery, at.ForceQuery = "", parsed.Path, parsed.RawPath, parsed.RawQuery, parsed.ForceQuery
	}
	out := &http.Request{Method: r.Method, URL: at, Host: r.Host, Header: http.Header{}, ContentLength: r.ContentLength}
	if out.Host == "" {
		out.Host = "localhost"
	}
	f.headers(headerMap(out.Header))
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none is sent
	}
	if slices.ContainsFunc(tokens(strings.Join(r.Header["Te"], ",")), func(t string) bool { return strings.EqualFold(t, "trailers") }) {
		out.Header["Te"] = []string{"trailers"} // which gRPC needs
	}
	for name := range r.Trailer {
		if mayTrail(name) {
			if out.Trailer == nil {
				out.Trailer = http.Header{}
			}
			out.Trailer[name] = nil // its values come with the end of the body
		}
	}
	return out
}

// unansweredHTTP2 says whether a request that was not answered has reached the member.
func (f *forwarding) unansweredHTTP2(err error) error {
	stream := http2.StreamError{}
	switch none := (*notBegun)(nil); {
	case errors.As(err, &none):
		return &unanswered{err: none}
	case errors.As(err, &stream) && stream.Code == http2.ErrCodeRefusedStream:
		return &unanswered{err: err} // the member says that it has done nothing of it
	case f.body.failed.Load():
		return &unanswered{err: fmt.Errorf("the client's body ended early: %w", f.body.fault), sent: true, client: true}
	}
	return &unanswered{err: err, sent: true, silent: true}
}

// streaming is the body of a request on its way to a member in HTTP/2. It is read by the transport, which may read on when the answer
// is over, until end.
type streaming struct {
	of      *forwarding
	late    *time.Timer // ends the wait for the answer
	trailer http.Header // of the request that is sent; nil: it has none

	mu   sync.Mutex // of the one that reads
	over bool

	wait  sync.Mutex
	heard bool // the answer is there
}

// Read reads from the client.
func (s *streaming) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := s.of.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		for name, values := range s.of.r.Trailer {
			if s.trailer != nil && mayTrail(name) {
				s.trailer[name] = values
			}
		}
	}
	s.wait.Lock()
	defer s.wait.Unlock()
	if !s.heard {
		s.late.Reset(s.of.proxy.options.AnswerTimeout)
	}
	return n, err
}

// Close does nothing: the server closes its client's body.
func (s *streaming) Close() error { return nil }

// answered notes that the answer is there, or none comes.
func (s *streaming) answered() {
	s.wait.Lock()
	defer s.wait.Unlock()
	s.heard = true
	s.late.Stop()
}

// end has the transport read no more. A body that the client has not sent whole is not waited for.
func (s *streaming) end() {
	f := s.of
	if !s.mu.TryLock() {
		f.stopped = f.r.Context().Err() == nil // as in sending.end
		client := http.NewResponseController(f.w)
		_ = client.SetReadDeadline(time.Unix(1, 0))
		s.mu.Lock()
		_ = client.SetReadDeadline(time.Now().Add(lastRead))
	}
	s.over = true
	s.mu.Unlock()
}
