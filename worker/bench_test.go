package worker

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

// nothing is a handler that costs as little as one that answers can.
func nothing(rw http.ResponseWriter, r *http.Request) {}

// BenchmarkRequest is what the worker adds to a request: the handler around the program's own and the hook that follows
// the connection from active to idle. "drain" is without a board; what "sampled" and "timed" cost more is the
// scoreboard's price, when requests are many and when they are few.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name           string
		board, sampled bool
	}{{"drain", false, false}, {"sampled", true, true}, {"timed", true, false}} {
		b.Run(c.name, func(b *testing.B) {
			ta := benchTally(b)
			ta.sampled.Store(c.sampled)
			ta.coarse.Store(ipc.Monotonic())
			srv := &http.Server{Handler: http.HandlerFunc(nothing)}
			s := newServer(srv)
			if c.board {
				s.tally = ta
			}
			conn := &tcpConn{held: held{tally: ta}}
			inHandler(b, func(rw http.ResponseWriter, r *http.Request) { // for a ResponseWriter of net/http's
				rw.WriteHeader(http.StatusOK)
				b.ReportAllocs()
				for b.Loop() {
					srv.ConnState(conn, http.StateActive)
					srv.Handler.ServeHTTP(rw, r)
					srv.ConnState(conn, http.StateIdle)
				}
			})
		})
	}
}

func benchTally(b testing.TB) *tally {
	b.Helper()
	board, err := ipc.NewBoard()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { board.Close() })
	return newTally(board.Line(0), board.Row(0, 0), 0, closedNow())
}

// inHandler runs h once, as net/http does.
func inHandler(b *testing.B, h http.HandlerFunc) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	defer srv.Close()
	res, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// BenchmarkServe is requests over kept-alive connections, with and without a board in turns: ns/op is of both together,
// and ratio is the median of rate with a board / rate without.
func BenchmarkServe(b *testing.B) {
	const rounds, conns, each = 11, 8, 1500
	with, without := benchServer(b, benchTally(b)), benchServer(b, nil)
	benchRound(b, with, conns, each)
	benchRound(b, without, conns, each)
	var ratios []float64
	for b.Loop() {
		for i := range rounds {
			var x, y time.Duration
			if i%2 == 0 {
				x, y = benchRound(b, with, conns, each), benchRound(b, without, conns, each)
			} else {
				y, x = benchRound(b, without, conns, each), benchRound(b, with, conns, each)
			}
			ratios = append(ratios, float64(y)/float64(x))
		}
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N*rounds*2*conns*each), "ns/request")
}

func benchServer(b *testing.B, t *tally) (addr string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = ln.Addr().String()
	s := newServer(&http.Server{Handler: http.HandlerFunc(hello200)})
	if t != nil {
		s.tally = t
		ln = counted(ln, t)
		never := make(chan struct{})
		t.over = never
		b.Cleanup(func() { close(never) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.accept(ln)
	}()
	b.Cleanup(func() {
		s.srv.Close()
		<-ended
	})
	return addr
}

// benchRound asks each requests on each of conns connections, which are new, and returns how long it took.
func benchRound(b *testing.B, addr string, conns, each int) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 4096)
			for range each {
				if _, err := io.WriteString(c, hi); err != nil {
					b.Error(err)
					return
				}
				if _, err := c.Read(buf); err != nil { // the answer is small: it comes in one piece
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
