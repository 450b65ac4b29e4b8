package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control"
)

// Limits of a client over TCP.
const (
	askHeadTime = 2 * time.Second
	askTime     = 15 * time.Second // for the whole answer
	askIdle     = 2 * time.Minute
	askEnd      = 250 * time.Millisecond // for answers under way at the end of Run
	followedEnd = 5 * time.Second        // for answers that come from the next master
)

// serveTCP begins to serve h at a TCP address, to every client that can connect; "" is nowhere. An address that cannot be served
// is logged, and nothing else depends on it. what names the address in the log.
func (s *Server) serveTCP(what, address string, h http.Handler) (close func()) {
	if address == "" {
		s.Handover.drop(KeptTCP + what)
		return func() {}
	}
	l, err := s.Handover.listen(what, address)
	if err != nil {
		s.log.Warn().Str("address", address).Err(err).Msg("no " + what + " over TCP")
		return func() {}
	}
	s.log.Info().Str("address", l.Addr().String()).Msg(what)
	crowd := control.NewCrowd(s.Askers, 0)
	server := control.HTTP1(&http.Server{
		Handler: s.orFollower(l.Addr(), h), ConnState: crowd.State, ReadHeaderTimeout: askHeadTime, ReadTimeout: askHeadTime, WriteTimeout: askTime,
		IdleTimeout: askIdle, MaxHeaderBytes: 16 << 10,
	})
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := server.Serve(crowd.Listener(l)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error().Str("address", address).Err(err).Msg(what + " over TCP: ended")
		}
	}()
	return func() {
		if s.Handover.isFollowed() {
			server.SetKeepAlivesEnabled(false)
			crowd.Wait(followedEnd)
		}
		ctx, cancel := context.WithTimeout(context.Background(), askEnd)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-ended
	}
}

// orFollower answers by h, and sends a request that h cannot answer any more, as the next master is in charge, on to that one.
func (s *Server) orFollower(at net.Addr, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &heldAnswer{header: http.Header{}}
		h.ServeHTTP(answer, r)
		if answer.status >= http.StatusInternalServerError && s.Handover.isFollowed() {
			if other, err := askFollower(r, at); err == nil {
				answer = other
			}
		}
		maps.Copy(w.Header(), answer.header)
		if answer.status != 0 {
			w.WriteHeader(answer.status)
		}
		_, _ = w.Write(answer.body.Bytes()) // an error: the client has gone
	})
}

// heldAnswer is an answer that is not sent yet. All answers over TCP are small.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header         { return a.header }
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *heldAnswer) WriteHeader(status int) {
	a.status = cmp.Or(a.status, status)
}

// askFollower makes the same request at the same address, where only the next master accepts.
func askFollower(r *http.Request, at net.Addr) (*heldAnswer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), followedEnd)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, r.Method, "http://"+at.String()+r.URL.RequestURI(), nil)
	if err != nil {
		return nil, err
	}
	q.Header = r.Header.Clone()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	res, err := client.Do(q)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &heldAnswer{header: res.Header, status: res.StatusCode}
	_, err = a.body.ReadFrom(res.Body)
	return a, err
}
