package worker

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func nowhere() *log.Logger { return log.New(io.Discard, "", 0) }

func TestRequestsAreCountedByClass(t *testing.T) {
	srv := plain(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
		case "/body":
			io.WriteString(rw, "hello")
		case "/early":
			rw.WriteHeader(http.StatusEarlyHints)
			rw.WriteHeader(http.StatusCreated)
		case "/upgrade":
			rw.WriteHeader(http.StatusSwitchingProtocols)
		case "/away":
			http.Redirect(rw, r, "/", http.StatusFound)
		case "/failed":
			http.Error(rw, "failed", http.StatusBadGateway)
		case "/odd":
			rw.WriteHeader(799)
		case "/abort":
			rw.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("a mistake")
		case "/wrapped":
			http.TimeoutHandler(http.NotFoundHandler(), eventually.Patience(), "").ServeHTTP(rw, r)
		}
	})
	srv.ErrorLog = nowhere()
	s, b := counting(t, srv)
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       eventually.Patience(),
	}
	n := uint64(0)
	for _, x := range []struct {
		path  string
		class int
	}{
		{"/silent", 1}, {"/body", 1}, {"/early", 1}, {"/upgrade", 0}, {"/away", 2}, {"/failed", 4}, {"/wrapped", 3},
		{"/odd", ipc.ClassUnknown}, {"/abort", ipc.ClassUnknown}, {"/panic", ipc.ClassUnknown},
	} {
		before := b.row.Classes[x.class].Load()
		if res, err := c.Get("http://" + s.addr + x.path); err == nil {
			res.Body.Close()
		}
		n++
		eventually.True(t, x.path+" is counted", func() bool { return b.row.Requests() == n })
		if b.row.Classes[x.class].Load() != before+1 {
			t.Errorf("%s is not of class %d: %v", x.path, x.class, b.row.Stats().Classes)
		}
	}
	if b.row.InFlight() != 0 {
		t.Error("a cell is still taken")
	}
	if st := b.row.Stats(); st.Histogram.Count() != n || st.Sent == 0 {
		t.Errorf("%d latencies of %d requests, %d bytes", st.Histogram.Count(), n, st.Sent)
	}
	b.empty(n)
}

// TestClassOfAnUnknownWriter: nothing is guessed.
func TestClassOfAnUnknownWriter(t *testing.T) {
	type response struct {
		http.ResponseWriter
		status int
	}
	for _, rw := range []http.ResponseWriter{httptest.NewRecorder(), &response{status: 200}, response{}, nil} {
		if c := classOf(rw); c != ipc.ClassUnknown {
			t.Errorf("%T has class %d", rw, c)
		}
	}
}

// TestRequestInFlight: the master sees since when a request runs, and it counts with all its time when it ends.
func TestRequestInFlight(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	s, b := counting(t, plain(func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "data\n")
		http.NewResponseController(rw).Flush()
		close(in)
		<-out
	}))
	before := ipc.Monotonic()
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	start, ok := b.row.Oldest()
	if !ok || start < before || start > ipc.Monotonic() {
		t.Errorf("oldest is %d, %v", start, ok)
	}
	if n := b.row.Requests(); n != 0 {
		t.Errorf("%d requests are counted before their end", n)
	}
	eventually.True(t, "the request has taken 20 ms", func() bool { return ipc.Monotonic()-start > int64(20*time.Millisecond) })
	close(out)
	c.answer()
	eventually.True(t, "it is counted", func() bool { return b.row.Requests() == 1 })
	st := b.row.Stats()
	if q := st.Quantile(1); q < 18*time.Millisecond {
		t.Errorf("latency is %v", q)
	}
	if _, ok := b.row.Oldest(); ok {
		t.Error("still in flight")
	}
}

// TestHeartbeatOnlyWithConnections: it shows that the worker lives as long as a client could be waiting, and no longer.
func TestHeartbeatOnlyWithConnections(t *testing.T) {
	s, b := counting(t, plain(hello200))
	if b.row.Heartbeat.Load() != 0 {
		t.Error("a beat without a connection")
	}
	for range 2 {
		c := dial(t, s.addr)
		b.holds(1, 0)
		first := b.row.Heartbeat.Load()
		if first == 0 {
			t.Error("no beat with the first connection")
		}
		eventually.True(t, "beats", func() bool { return b.row.Heartbeat.Load() >= first+int64(2*beatEvery) })
		if g, h := b.row.Goroutines.Load(), b.row.Heap.Load(); g < 2 || h == 0 {
			t.Errorf("%d goroutines, heap of %d bytes", g, h)
		}
		c.Close()
		b.holds(0, 0)
		eventually.True(t, "rest", func() bool {
			s.tally.mu.Lock()
			defer s.tally.mu.Unlock()
			return !s.tally.beating
		})
	}
}

func TestGaugesShowTheCollector(t *testing.T) {
	var row ipc.Row
	var g gauges
	g.show(&row)
	before := row.GCCount.Load()
	runtime.GC()
	g.show(&row)
	if row.GCCount.Load() <= before || row.GCPause.Load() <= 0 {
		t.Errorf("%d collections after %d, pause %d ns", row.GCCount.Load(), before, row.GCPause.Load())
	}
	if n := testing.AllocsPerRun(10, func() { g.show(&row) }); n > 1 { // a collection may come between
		t.Errorf("%v allocations", n)
	}
}

// TestManyRequestsAreSampled: one in eight is timed and stands for all, and every one is counted.
func TestManyRequestsAreSampled(t *testing.T) {
	var line ipc.Line
	var row ipc.Row
	ta := newTally(&line, &row, 0, closedNow(), alwaysAwake())
	ta.sampled.Store(true)
	ta.coarse.Store(ipc.Monotonic())
	const n = 8000
	for range n {
		ta.end(ta.begin(), nil, true)
	}
	st := row.Stats()
	if st.Requests != n || st.Classes[ipc.ClassUnknown] != n || row.InFlight() != 0 {
		t.Errorf("%d requests, %v, %d in flight", st.Requests, st.Classes, row.InFlight())
	}
	// The number that is timed has a standard deviation of 30.
	if c := st.Histogram.Count(); c < n-8*300 || c > n+8*300 || c%sampleEach != 0 {
		t.Errorf("latencies stand for %d requests", c)
	}
}

// TestBeatChoosesHowToTime with real requests: many, then few.
func TestBeatChoosesHowToTime(t *testing.T) {
	s, _ := counting(t, plain(hello200))
	s.tally.accepted() // holds the beat
	defer s.tally.closed(ipc.Weight)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.tally.end(s.tally.begin(), nil, true)
			}
		}
	})
	eventually.True(t, "only some are timed", func() bool { return s.tally.sampled.Load() })
	close(stop)
	wg.Wait()
	eventually.True(t, "all are timed", func() bool { return !s.tally.sampled.Load() })
}

// TestForgiveStandstill: what began around a standstill of the process is not as old as that.
func TestForgiveStandstill(t *testing.T) {
	var row ipc.Row
	ta := newTally(&ipc.Line{}, &row, 0, closedNow(), alwaysAwake())
	stuck, first := row.Begin(1000), row.Begin(5000)
	ta.forgive(5000, 9000)
	if a, b := row.Cells[stuck].Load(), row.Cells[first].Load(); a != 1000 || b != 9000 {
		t.Errorf("cells are %d and %d", a, b)
	}
}

// TestRowIsWrittenWithoutAMaster: the other end of the memory is the master's, whose death changes nothing.
func TestRowIsWrittenWithoutAMaster(t *testing.T) {
	s, b := counting(t, plain(hello200))
	hot, rows, err := b.board.Share() // the keeper's, or the next master's
	if err != nil {
		t.Fatal(err)
	}
	s.m.conn.Close()
	b.board.Close()
	eventually.Receive(t, "orphaned", s.Orphaned())
	c := dial(t, s.addr)
	for range 3 {
		c.write(hi)
		c.answer()
	}
	next, err := ipc.OpenBoard(hot, rows)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	b.line, b.row = next.Line(2), next.Row(2, testSeat)
	b.holds(0, 1)
	if n := b.row.Requests(); n != 3 {
		t.Errorf("%d requests", n)
	}
	c.Close()
	b.empty(1)
}

// TestServesWithoutAUsableBoard: counting is never a reason not to serve.
func TestServesWithoutAUsableBoard(t *testing.T) {
	w, m := withMaster(t, nil)
	f := m.assignment()
	b := withBoard(t, &f)
	b.board.Header().Version = 99
	m.send(f)
	ret := make(chan error, 1)
	go func() { ret <- w.Serve(http.HandlerFunc(hello200)) }()
	expect[ipc.Ready](m)
	c := dial(t, f.Listeners[0].Address)
	c.write(hi)
	if _, body := c.answer(); body != "hello" {
		t.Error(body)
	}
	if b.row.Opened.Load() != 0 {
		t.Error("it counted on a board that it does not understand")
	}
	if l := m.log.String(); !containsAll(l, "no scoreboard", "99") {
		t.Errorf("log is %s", l)
	}
	m.send(ipc.Drain{Handover: true, Timeout: eventually.Patience()})
	eventually.Receive(t, "Serve returns", ret)
}
