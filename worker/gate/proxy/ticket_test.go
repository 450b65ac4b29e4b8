package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/worker/gate"
)

// inner is a worker of this host, as its gateway sees it: a socket that outlives the processes which serve it, and a slot.
type inner struct {
	t    *testing.T
	path string
	ln   *net.UnixListener
	slot *tickets.Slot
	runs chan string // method, body and whether the handler saw a ticket, once a request has begun
	goOn chan int    // the status with which it ends

}

// localFront is a front before n workers of this host, none of which is served yet. The first is picked if it has room.
func localFront(t *testing.T, n int, change func(*Options)) (*front, []*inner, *tickets.Book) {
	t.Helper()
	book, err := tickets.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	dir, err := os.MkdirTemp("", "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var all []*inner
	var table members.Table
	for i := range n {
		path := filepath.Join(dir, fmt.Sprint("web.", i, ".sock"))
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		all = append(all, &inner{t: t, path: path, ln: ln, slot: book.Slot(i), runs: make(chan string, 100), goOn: make(chan int, 100)})
		table.Members = append(table.Members, members.Member{ID: fmt.Sprint("web/", i), Address: path, Weight: 1, State: members.Ready})
	}
	f := frontOf(t, func(o *Options) {
		o.Picker, err = gate.New(gate.Options{Way: gate.First, Owner: 1, Local: func(m *members.Member) *tickets.Slot {
			i := -1
			fmt.Sscanf(m.ID, "web/%d", &i)
			return book.Slot(i)
		}})
		if err != nil {
			t.Fatal(err)
		}
		o.Picker.Update(table, ipc.Monotonic())
		if change != nil {
			change(o)
		}
	})
	return f, all, book
}

// serve begins a process that serves the worker's socket. kill ends it as kill -9 does: its connections end, and the socket stays.
func (w *inner) serve() (kill func()) {
	w.t.Helper()
	file, err := w.ln.File()
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.FileListener(file)
	file.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	var handlers sync.WaitGroup
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		w.answer(rw, r)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.Serve(ln)
	}()
	kill = sync.OnceFunc(func() {
		srv.Close()
		<-ended
		handlers.Wait()
	})
	w.t.Cleanup(kill)
	return kill
}

func (w *inner) answer(rw http.ResponseWriter, r *http.Request) {
	text := r.Header.Get(tickets.Header)
	k, ok := tickets.Parse(text)
	if !ok || !w.slot.Begin(k, 0) {
		rw.Header().Set(tickets.NotBegun, "1")
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer w.slot.End(k, 0)
	b, _ := io.ReadAll(r.Body)
	w.runs <- r.Method + " " + string(b)
	select {
	case status := <-w.goOn:
		rw.Header().Set(tickets.NotBegun, "said by the program")
		rw.WriteHeader(status)
	case <-r.Context().Done():
	}
}

// drop is a process that accepts n connections and dies before it has read them.
func (w *inner) drop(n int) {
	for range n {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(c)
		in.Peek(1) // the request is there
		c.Close()
	}
}

// post sends a POST from a goroutine; its status comes by the channel.
func (f *front) post(t *testing.T, body string) <-chan int {
	t.Helper()
	got := make(chan int, 1)
	r, err := http.NewRequest(http.MethodPost, f.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(tickets.Header, "000000000000000001000011") // a client's does not count
	go func() {
		res, err := f.Client().Do(r)
		if err != nil {
			got <- 0
			return
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.Header.Get(tickets.NotBegun) != "" {
			got <- -1
			return
		}
		got <- res.StatusCode
	}()
	return got
}

func (f *front) accessed(t *testing.T) Access {
	t.Helper()
	return eventually.Receive(t, "a request that is over", f.log)
}

func status(t *testing.T, got <-chan int, want int) {
	t.Helper()
	if n := eventually.Receive(t, "the answer", got); n != want {
		t.Errorf("status %d, want %d", n, want)
	}
}

func empty(t *testing.T, all []*inner) {
	t.Helper()
	for i, w := range all {
		eventually.True(t, fmt.Sprintf("no row of worker %d is taken", i), func() bool { return w.slot.Taken(0) == 0 })
	}
}

// TestTicket: a request begins at its worker, once, and that is told. What the program answers is its own, whatever it is.
func TestTicket(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 1, nil)
	all[0].serve()
	for _, answer := range []int{200, 503} {
		got := f.post(t, "body")
		if run := eventually.Receive(t, "the request", all[0].runs); run != "POST body" {
			t.Errorf("begun as %q", run)
		}
		all[0].goOn <- answer
		status(t, got, answer)
		if a := f.accessed(t); !a.Begun || a.Withdrawn+a.Resent != 0 || a.Tries != 1 {
			t.Errorf("%+v", a)
		}
	}
	if n := all[0].slot.Tickets(); n != 2 || all[0].slot.Begun() != 2 {
		t.Errorf("%d tickets, %d begun", n, all[0].slot.Begun())
	}
	empty(t, all)
}

// TestHeadInParts: once a worker has begun to answer, the time of a withdrawal does not bound the rest: neither the answer behind an
// interim one, nor the second half of a head.
func TestHeadInParts(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200"} {
		f, all, _ := localFront(t, 1, nil)
		got := f.post(t, "body")
		c, err := all[0].ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		k, _ := tickets.Parse(r.Header.Get(tickets.Header))
		if !all[0].slot.Begin(k, 0) {
			t.Fatal("the request did not begin")
		}
		io.WriteString(c, first)
		at := time.Now()
		eventually.True(t, "the time of a withdrawal is over", func() bool { return time.Since(at) > 5*withdrawAfter })
		io.WriteString(c, strings.TrimPrefix("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", first))
		status(t, got, 200)
		all[0].slot.End(k, 0)
		c.Close()
		empty(t, all)
	}
}

// TestNeverBegan: a POST whose worker has died before it began goes to another worker, with its body.
func TestNeverBegan(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 2, nil)
	all[1].serve()
	go all[0].drop(1)
	got := f.post(t, "body")
	if run := eventually.Receive(t, "the request", all[1].runs); run != "POST body" {
		t.Errorf("begun as %q", run)
	}
	all[1].goOn <- 200
	status(t, got, 200)
	if a := f.accessed(t); !a.Begun || a.Resent != 1 || a.Withdrawn != 0 || a.Member != "web/1" {
		t.Errorf("%+v", a)
	}
	empty(t, all)
}

// TestNeverBeganAlone: where there is one worker the request goes to its slot's next one.
func TestNeverBeganAlone(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 1, nil)
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		all[0].drop(2)
	}()
	got := f.post(t, strings.Repeat("x", inlineBody))
	<-dead
	all[0].serve()
	if run := eventually.Receive(t, "the request", all[0].runs); len(run) != len("POST ")+inlineBody {
		t.Errorf("begun with %d bytes", len(run))
	}
	all[0].goOn <- 200
	status(t, got, 200)
	if a := f.accessed(t); !a.Begun || a.Resent != 2 {
		t.Errorf("%+v", a)
	}
	go all[0].drop(100)
	empty(t, all)
}

// TestBegunAndDied: a POST that has begun is not sent again when its worker dies.
func TestBegunAndDied(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 2, nil)
	kill := all[0].serve()
	all[1].serve()
	got := f.post(t, "body")
	eventually.Receive(t, "the request", all[0].runs)
	kill()
	status(t, got, 502)
	if a := f.accessed(t); !a.Begun || a.Resent+a.Withdrawn != 0 || a.Tries != 1 {
		t.Errorf("%+v", a)
	}
	if n := all[1].slot.Tickets(); n != 0 {
		t.Errorf("%d tickets of another worker", n)
	}
	empty(t, all)
}

// TestWithdrawn: a POST that waits behind a worker which is stopped is begun by another one. When the first goes on it sees that, and its
// connection serves further requests.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 2, nil)
	all[1].serve()
	got := f.post(t, "body") // at the first, which does not accept
	if run := eventually.Receive(t, "the request", all[1].runs); run != "POST body" {
		t.Errorf("begun as %q", run)
	}
	if n := all[0].slot.Taken(0); n != 1 {
		t.Errorf("%d rows are taken at the worker that is stopped", n)
	}
	all[1].goOn <- 200
	status(t, got, 200)
	if a := f.accessed(t); !a.Begun || a.Withdrawn != 1 || a.Resent != 0 || a.Member != "web/1" || a.Err != nil {
		t.Errorf("%+v", a)
	}
	all[0].serve()
	empty(t, all)
	if len(all[0].runs) != 0 || all[0].slot.Begun() != 0 {
		t.Error("a request that was withdrawn has begun")
	}
	eventually.True(t, "the connection is idle", func() bool {
		f.proxy.pool.mu.Lock()
		defer f.proxy.pool.mu.Unlock()
		return len(f.proxy.pool.idle[all[0].path]) == 1
	})
	got = f.post(t, "body")
	eventually.Receive(t, "the request", all[0].runs)
	all[0].goOn <- 200
	status(t, got, 200)
}

// TestNotWithdrawn: a request stays where it waits if no other worker has fewer requests, or too many were moved, and begins when the
// worker goes on.
func TestNotWithdrawn(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 2, nil)
	all[1].slot.AddDirect(0, 1)
	all[1].slot.Beat(0, false)
	got := f.post(t, "body")
	spent := false
	eventually.True(t, "the request waits", func() bool { return all[0].slot.Taken(0) == 1 })
	for range 2 {
		kill := all[0].serve()
		eventually.Receive(t, "the request", all[0].runs)
		all[0].goOn <- 200
		status(t, got, 200)
		if a := f.accessed(t); !a.Begun || a.Withdrawn != 0 || a.Member != "web/0" {
			t.Errorf("%+v", a)
		}
		kill()
		if !spent {
			spent = true
			all[1].slot.AddDirect(0, -1)
			for f.proxy.withdrawals.take() {
			}
			f.proxy.withdrawals.spent.Add(oneWithdrawal)
			got = f.post(t, "body")
			eventually.True(t, "the request waits", func() bool { return all[0].slot.Taken(0) == 1 })
		}
	}
	empty(t, all)
}

// TestStragglersEnd: a gateway that ends does not wait for workers that are stopped.
func TestStragglersEnd(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 2, nil)
	all[1].serve()
	got := f.post(t, "")
	eventually.Receive(t, "the request", all[1].runs)
	all[1].goOn <- 200
	status(t, got, 200)
	f.proxy.Close()
	empty(t, all)
}

// TestRubbishInTheRow: a request whose row was overwritten is not sent again, as it may have begun.
func TestRubbishInTheRow(t *testing.T) {
	t.Parallel()
	f, all, book := localFront(t, 2, nil)
	kill := all[0].serve()
	all[1].serve()
	got := f.post(t, "body")
	eventually.Receive(t, "the request", all[0].runs)
	rubbish := make([]byte, 8192)
	for i := range rubbish {
		rubbish[i] = byte(i*7 + 3)
	}
	if _, err := book.File().WriteAt(rubbish, 266240); err != nil {
		t.Fatal(err)
	}
	kill()
	status(t, got, 502)
	if a := f.accessed(t); a.Begun || a.Resent+a.Withdrawn != 0 || a.Tries != 1 {
		t.Errorf("%+v", a)
	}
	book.Sweep(func(tickets.Owner) bool { return false })
	empty(t, all)
}

// TestClientGoesBeforeBegin: the place of a request that nobody waits for is free at once.
func TestClientGoesBeforeBegin(t *testing.T) {
	t.Parallel()
	f, all, _ := localFront(t, 1, nil)
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually.True(t, "the request waits", func() bool { return all[0].slot.Taken(0) == 1 })
	c.Close()
	empty(t, all)
	if a := f.accessed(t); a.Status != 0 || a.Begun {
		t.Errorf("%+v", a)
	}
	all[0].serve()
	got := f.post(t, "x")
	if run := eventually.Receive(t, "the request", all[0].runs); run != "POST x" {
		t.Errorf("begun: %q", run)
	}
	all[0].goOn <- 200
	status(t, got, 200)
}

// TestAllowance: a tenth of requests, and ten at once.
func TestAllowance(t *testing.T) {
	t.Parallel()
	var a allowance
	for range 1000 {
		a.request()
	}
	n := 0
	for a.take() {
		n++
	}
	if n != 10 {
		t.Errorf("%d withdrawals at once", n)
	}
	for n = range 100 {
		a.request()
		if a.take() {
			break
		}
	}
	if n != 9 {
		t.Errorf("one after %d requests", n+1)
	}
}
