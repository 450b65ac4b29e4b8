package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/queue"
)

// holding is a front with a queue, before members that take one request at once.
type holding struct {
	*front
	queue *queue.Queue
	table members.Table
}

func holdingFront(t *testing.T, o queue.Options, change func(*Options), addresses ...string) *holding {
	t.Helper()
	if o.Target == 0 {
		o.Target, o.Interval = time.Minute, time.Hour // only a test of overload has it
		o.Timeout = max(o.Timeout, time.Hour)
	}
	q, err := queue.New(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	h := &holding{queue: q}
	h.front = frontOf(t, func(p *Options) {
		if p.Picker, err = gate.New(gate.Options{Way: gate.First, Released: q.Freed}); err != nil {
			t.Fatal(err)
		}
		p.Queue = q
		if change != nil {
			change(p)
		}
		h.front = &front{picker: p.Picker}
	}, addresses...)
	h.picker = h.proxy.options.Picker
	for i, a := range addresses {
		h.table.Members = append(h.table.Members, members.Member{ID: fmt.Sprint("m", i), Address: a, Weight: 1, MaxInFlight: 1, State: members.Ready})
	}
	h.update()
	return h
}

// update has the picker know the table, as a gateway does.
func (h *holding) update() {
	h.picker.Update(h.table, ipc.Monotonic())
	h.queue.Wake()
}

// stepped is a server whose requests each wait until they are let go.
type stepped struct {
	address string
	begun   chan string // its path and body
	goOn    chan struct{}
}

func steppedServer(t *testing.T) *stepped {
	s := &stepped{begun: make(chan string, 100), goOn: make(chan struct{})}
	t.Cleanup(func() { close(s.goOn) })
	s.address = server(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.begun <- r.URL.Path + string(b)
		select {
		case <-s.goOn:
		case <-r.Context().Done():
		}
	})
	return s
}

// ask sends a request from a goroutine; its status and text come by the channel.
func (h *holding) ask(t *testing.T, path string, header ...string) <-chan string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got := make(chan string, 1)
	go func() {
		res, err := h.Client().Do(r)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		got <- fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(b)), res.Header.Get("Retry-After"))
	}()
	return got
}

// await waits until n requests wait.
func (h *holding) await(t *testing.T, n int) {
	t.Helper()
	eventually.True(t, fmt.Sprint(n, " wait"), func() bool { return h.queue.Stats().Waiting == n })
}

func expect(t *testing.T, what string, from <-chan string, want string) {
	t.Helper()
	if got := eventually.Receive(t, what, from); !strings.Contains(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestHoldWhileFull: a request that finds all places taken waits, and has the one that becomes free.
func TestHoldWhileFull(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{}, nil, s.address)
	a := h.ask(t, "/a")
	expect(t, "the server", s.begun, "/a")
	b := h.ask(t, "/b")
	h.await(t, 1)
	s.goOn <- struct{}{}
	expect(t, "a", a, "200")
	expect(t, "the server", s.begun, "/b")
	s.goOn <- struct{}{}
	expect(t, "b", b, "200")
	for _, waited := range []bool{false, true} {
		if got := eventually.Receive(t, "the log", h.log); got.Queued > 0 != waited {
			t.Errorf("it was queued for %s", got.Queued)
		}
	}
	if n := h.queue.Stats().Admitted; n != 1 {
		t.Errorf("%d were admitted", n)
	}
}

// TestHoldUntilReady: a request waits while no member is ready, and goes the moment that one is. Without any member it fails at once.
func TestHoldUntilReady(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	for _, state := range []members.State{members.Starting, members.Down, members.Draining, members.Ejected} {
		h := holdingFront(t, queue.Options{}, nil, s.address)
		h.table.Members[0].State = state
		h.update()
		a := h.ask(t, "/a")
		h.await(t, 1)
		h.table.Members[0].State = members.Ready
		h.update()
		expect(t, "the server", s.begun, "/a")
		s.goOn <- struct{}{}
		expect(t, "a", a, "200")

		h.table.Members[0].State = state
		h.update()
		a = h.ask(t, "/a")
		h.await(t, 1)
		h.table.Members = nil
		h.update()
		expect(t, "a request without any member", a, "503 Service Unavailable: no member is ready")
		expect(t, "the next", h.ask(t, "/b"), "503 Service Unavailable: no member is ready")
	}
}

// TestHoldEnds: the wait ends by its time and by the client's deadline, and the queue by its bound, each in one line.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{Max: 1, Target: time.Millisecond, Interval: time.Millisecond, Timeout: 30 * time.Millisecond}, nil, s.address)
	a := h.ask(t, "/a")
	expect(t, "the server", s.begun, "/a")
	expect(t, "one that waits", h.ask(t, "/b"), "503 Service Unavailable: waited ")
	expect(t, "one with a deadline", h.ask(t, "/b", "X-Request-Deadline", "1ms"), "503 Service Unavailable: the deadline passed, after a wait of ")
	expect(t, "one of gRPC", h.ask(t, "/b", "Grpc-Timeout", "1m"), "503 Service Unavailable: the deadline passed, after a wait of ")
	h = holdingFront(t, queue.Options{Max: 1}, nil, s.address)
	a2 := h.ask(t, "/a")
	expect(t, "the server", s.begun, "/a")
	b := h.ask(t, "/b")
	h.await(t, 1)
	if got := eventually.Receive(t, "one too many", h.ask(t, "/c")); !strings.HasPrefix(got, "503 503 Service Unavailable: the queue is full: 1 waiting") || !strings.HasSuffix(got, ")1") {
		t.Errorf("one too many: %q", got)
	}
	for range 3 {
		s.goOn <- struct{}{}
	}
	expect(t, "a", a, "200")
	expect(t, "a2", a2, "200")
	expect(t, "b", b, "200")
}

// TestHeldClientGoes: it leaves the queue at once, also if it has sent a body.
func TestHeldClientGoes(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{}, nil, s.address)
	a := h.ask(t, "/a")
	expect(t, "the server", s.begun, "/a")
	for _, request := range []string{
		"GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na",
	} {
		c, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		h.await(t, 1)
		c.Close()
		h.await(t, 0)
	}
	s.goOn <- struct{}{}
	expect(t, "a", a, "200")
	if st := h.queue.Stats(); st.Left != 3 || len(s.begun) != 0 {
		t.Errorf("%+v; %d were sent to the server", st, len(s.begun))
	}
}

// TestHeldBody: a body that came while its request waited reaches the member whole.
func TestHeldBody(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{}, nil, s.address)
	long := strings.Repeat("x", heldBody+1)
	for _, c := range []struct{ head, before, after string }{
		{"Content-Length: 6\r\n", "abcdef", ""},
		{"Content-Length: 6\r\n", "abc", "def"},
		{"Content-Length: 6\r\n", "", "abcdef"},
		{"Content-Length: 6\r\nExpect: 100-continue\r\n", "", "abcdef"},
		{fmt.Sprintf("Content-Length: %d\r\n", len(long)), long[:10], long[10:]},
		{"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n"},
	} {
		a := h.ask(t, "/a")
		expect(t, "the server", s.begun, "/a")
		conn, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /b HTTP/1.1\r\nHost: h\r\n%s\r\n%s", c.head, c.before)
		h.await(t, 1)
		s.goOn <- struct{}{}
		expect(t, "a", a, "200")
		h.await(t, 0)
		io.WriteString(conn, c.after)
		body := c.before + c.after
		if strings.Contains(c.head, "chunked") {
			body = "abcdef"
		}
		if got := eventually.Receive(t, "the server", s.begun); got != "/b"+body {
			t.Errorf("%s: the member got %d bytes of %d", c.head, len(got)-2, len(body))
		}
		s.goOn <- struct{}{}
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err == nil && res.StatusCode == http.StatusContinue {
			res, err = http.ReadResponse(in, nil)
		}
		if err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %v, %v", c.head, res, err)
		}
	}
}

// TestHeldBodyShed: a client that is slow to send its body is told when its wait is over.
func TestHeldBodyShed(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{}, nil, s.address)
	a := h.ask(t, "/a")
	expect(t, "the server", s.begun, "/a")
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /b HTTP/1.1\r\nHost: h\r\nX-Request-Deadline: 20ms\r\nContent-Length: 6\r\n\r\nabc")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 503 || !res.Close || !strings.Contains(string(b), "the deadline passed") {
		t.Errorf("%v %s", res, b)
	}
	s.goOn <- struct{}{}
	expect(t, "a", a, "200")
}

// TestHeldOrder: the priority of a client counts if it is trusted, and one that is sent again comes before new ones.
func TestHeldOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		want    string
	}{
		"trusted": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "/high /first /low"},
		"not":     {nil, "/low /first /high"},
	} {
		s := steppedServer(t)
		h := holdingFront(t, queue.Options{}, func(o *Options) { o.Trusted, o.Priority = c.trusted, "x-priority" }, s.address)
		answers := []<-chan string{h.ask(t, "/a")}
		expect(t, "the server", s.begun, "/a")
		for i, one := range []string{"/low 2", "/first 5", "/high 9"} {
			path, p, _ := strings.Cut(one, " ")
			answers = append(answers, h.ask(t, path, "X-Priority", p))
			h.await(t, i+1)
		}
		var order []string
		for range 3 {
			s.goOn <- struct{}{}
			order = append(order, eventually.Receive(t, "the server", s.begun))
		}
		s.goOn <- struct{}{}
		for _, a := range answers {
			expect(t, name, a, "200")
		}
		if got := strings.Join(order, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestRetryWaits: a request that a member has refused waits for another one, before new ones; one that all have refused does not wait.
func TestRetryWaits(t *testing.T) {
	t.Parallel()
	s := steppedServer(t)
	h := holdingFront(t, queue.Options{}, nil, closed(t), s.address)
	h.table.Members[0].MaxInFlight = 0
	h.table.Members[0].State = members.Down
	h.update()
	answers := []<-chan string{h.ask(t, "/a")}
	expect(t, "the server", s.begun, "/a")
	answers = append(answers, h.ask(t, "/new"))
	h.await(t, 1)
	h.table.Members[0].State = members.Ready // and refuses all
	h.update()
	eventually.True(t, "it waits again", func() bool { st := h.queue.Stats(); return st.Waiting == 1 && st.Admitted == 1 })
	s.goOn <- struct{}{}
	expect(t, "the server", s.begun, "/new")
	s.goOn <- struct{}{}
	for _, a := range answers {
		expect(t, "the answer", a, "200")
	}
	h.table.Members = h.table.Members[:1]
	h.update()
	expect(t, "one that all refuse", h.ask(t, "/b"), "502")
}

// TestPlaceCostsNothing: where nothing waits, a request costs no allocation more with a queue than without.
func TestPlaceCostsNothing(t *testing.T) {
	q, err := queue.New(queue.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	picker, err := gate.New(gate.Options{Way: gate.First, Released: q.Freed})
	if err != nil {
		t.Fatal(err)
	}
	picker.Update(members.Table{Members: []members.Member{{ID: "m", Address: "h:1", Weight: 1, MaxInFlight: 1, State: members.Ready}}}, 1)
	p, err := New(Options{Picker: picker, Queue: q})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	f := &forwarding{proxy: p, r: r, choice: p.choose(r)}
	if n := testing.AllocsPerRun(1000, func() {
		pick, err := f.place()
		if err != nil {
			t.Fatal(err)
		}
		pick.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
