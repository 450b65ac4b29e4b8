package worker

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
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
	// It stays mapped, as it does in a worker: a closed server's connections end after it.
	return newTally(board.Line(0), board.Row(0, 0), 0, closedNow(), alwaysAwake())
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

// BenchmarkServe is requests over kept-alive connections, in short rounds with and without a board in turns. ratio is the
// median, over neighbouring rounds, of the rate with a board / the rate without; cpu-ratio is the same of the time that
// the process ran, clients included, which other processes disturb less.
func BenchmarkServe(b *testing.B) {
	const rounds, conns, each = 60, 8, 400
	var addrs [2]string // without, with
	for i, t := range []*tally{nil, benchTally(b)} {
		addrs[i] = benchServer(b, t)
		// One connection stays open, so that the beat does not rest between the rounds.
		c, err := net.Dial("tcp", addrs[i])
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		benchRound(b, addrs[i], conns, each)
	}
	var ratios, ran []float64
	for b.Loop() {
		for round := range rounds {
			var took, cpu [2]time.Duration
			for k := range 2 {
				i := (k + round) % 2
				before := cpuTime()
				took[i] = benchRound(b, addrs[i], conns, each)
				cpu[i] = cpuTime() - before
			}
			ran = append(ran, float64(cpu[0])/float64(cpu[1]))
			ratios = append(ratios, float64(took[0])/float64(took[1]))
		}
	}
	slices.Sort(ratios)
	slices.Sort(ran)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ran[len(ran)/2], "cpu-ratio")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N*rounds*2*conns*each), "ns/request")
}

// cpuTime is how long this process has run so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
