package supervisor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/metrics"
)

// Limits of who scrapes over TCP.
const (
	scrapeHeadTime = 5 * time.Second
	scrapeTime     = 15 * time.Second // for the whole answer
	scrapeIdle     = 2 * time.Minute
	maxScrapers    = 32 // connections; the next ones wait in the kernel's queue
)

// serveMetrics begins to serve GET /metrics, and nothing else, where the config has an
// address for it. It answers whoever can connect.
func (s *Supervisor) serveMetrics(m *metrics.Metrics, c Metrics) (close func()) {
	if c.Listen == "" {
		return func() {}
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		s.logs.Warn().Str("address", c.Listen).Err(err).Msg("no metrics over TCP")
		return func() {}
	}
	s.logs.Info().Str("address", l.Addr().String()).Msg("metrics")
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, control.Refuse(http.StatusNotFound, "only GET /metrics is here, not %s %s", r.Method, r.URL.Path))
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: scrapeHeadTime, ReadTimeout: scrapeHeadTime, WriteTimeout: scrapeTime,
		IdleTimeout: scrapeIdle, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := server.Serve(newLimitedListener(l, maxScrapers)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.logs.Error().Str("address", c.Listen).Err(err).Msg("metrics over TCP have ended")
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-ended
	}
}

// limitedListener has a bounded number of connections at a time.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
}

func newLimitedListener(l net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept is called by one goroutine, Close once: as net/http does.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: conn, places: l.places}, nil
}

func (l *limitedListener) Close() error {
	close(l.closed)
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	places chan struct{}
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	if err == nil { // only the first succeeds
		<-c.places
	}
	return err
}
