//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// appServer is an application server: it answers with its number, and at /statistics with its statistics by K2's names.
type appServer struct {
	*httptest.Server
	served, asked atomic.Int64
	stats         atomic.Value  // string
	silent        chan struct{} // nil: it tells its statistics; else it does not before this is closed
}

func newAppServer(t *testing.T, number int, stats string) *appServer {
	t.Helper()
	s := &appServer{}
	s.stats.Store(stats)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/statistics" {
			s.asked.Add(1)
			if s.silent != nil {
				select {
				case <-s.silent:
				case <-r.Context().Done():
					return
				}
			}
			fmt.Fprint(w, s.stats.Load())
			return
		}
		s.served.Add(1)
		_ = json.NewEncoder(w).Encode(about{PID: number})
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *appServer) address() string { return s.Listener.Addr().String() }

// start begins to serve; silently: it takes questions for its statistics and does not answer.
func (s *appServer) start(silently bool) *appServer {
	if silently {
		s.silent = make(chan struct{})
	}
	s.Start()
	return s
}

// k2Gate is a gateway named name that picks by K2's statistics.
func k2Gate(name, more string, servers ...*appServer) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.address())
	}
	return fmt.Sprintf(`
  %s:
    listen: 127.0.0.1:0
    workers: 1
    $CALM
    gateway:
      members: ["%s"]
      pick: score
      history: 100
      evaluate:
        url: http://{address}/statistics
        stats: {cpu_used: bscSystemCPUAvg, memory_free: bscSystemFreeMemory, queue_wait_ms: bscAppPoolSpanAvg}
%s`, name, strings.Join(all, `", "`), more)
}

// decided is the newest decision of a gateway.
func decided(t *testing.T, m *tine, gateway string) decisions.Decision {
	t.Helper()
	var all api.Decisions
	out, _ := m.tell(0, "gate", "history", gateway, "--last", "1", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all.Decisions) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	return all.Decisions[0].Request
}

// TestGateEvaluateOnRequest: all servers are asked when a request comes, and the one with the lowest score gets it. A dead one costs one
// request timeout in all, and is back once it answers.
func TestGateEvaluateOnRequest(t *testing.T) {
	a := newAppServer(t, 1, `{"bscSystemCPUAvg": 90, "bscSystemFreeMemory": 100}`).start(false)
	b := newAppServer(t, 2, `{"bscSystemCPUAvg": 10, "bscSystemFreeMemory": 900}`).start(false)
	dead := newAppServer(t, 3, `{"bscSystemCPUAvg": 1, "bscSystemFreeMemory": 999}`).start(true)
	const timeout = 2 * time.Second // the live ones answer within it on a busy machine too
	m := startReady(t, "apps:"+k2Gate("gate", `        request_timeout: 2s
      score: {multipliers: {cpu_used: 1, memory_free: 1, queue_wait_ms: 0}}
`, a, b, dead), kept)
	began := time.Now()
	getAs(t, m.address(), "first")
	if took := time.Since(began); took < timeout {
		t.Errorf("the first request takes %s: the dead server is not waited for", took)
	}
	began = time.Now()
	for i := range 20 {
		getAs(t, m.address(), fmt.Sprint("r", i))
	}
	if took := time.Since(began); took > 10*timeout { // and not 20 times
		t.Errorf("20 requests take %s", took)
	}
	if n := b.asked.Load(); b.served.Load() != 21 || a.served.Load() != 0 || n != 21 {
		t.Errorf("served %d, %d, asked %d times", a.served.Load(), b.served.Load(), n)
	}
	d := decided(t, m, "gate")
	if d.ID != "r19" || d.Chosen != b.address() || d.Members != 3 || d.Ready != 2 || len(d.Candidates) != 3 {
		t.Errorf("%+v", d)
	}
	for _, c := range d.Candidates {
		switch c.ID {
		case a.address():
			if c.Stats["cpu_used"] != 90 || c.Score != 1 || c.ReportAgeMS > float64(timeout.Milliseconds()) {
				t.Errorf("%+v", c)
			}
		case dead.address():
			if c.Picks || c.Why != "it is left out of the evaluation: no answer in 2s" {
				t.Errorf("%+v", c)
			}
		}
	}
	if out, _ := m.tell(0, "why", "r19"); !strings.Contains(out, "no answer in 2s") || !strings.Contains(out, "cpu_used=10 memory_free=900") {
		t.Errorf("%s", out)
	}
	close(dead.silent)
	eventually.True(t, "the server that answers again is picked", func() bool {
		getAs(t, m.address(), "again")
		return dead.served.Load() > 0
	})
	m.stop()
	m.ended(0)
}

// TestGateEvaluateContinuous: servers are asked at the beat, and not by requests; a burst between two beats is spread, as what was sent
// counts. Where no server sends its statistics the last result stays.
func TestGateEvaluateContinuous(t *testing.T) {
	a := newAppServer(t, 1, `{"bscAppPoolSpanAvg": 5}`).start(false)
	b := newAppServer(t, 2, `{"bscAppPoolSpanAvg": 5}`).start(false)
	m := startReady(t, "apps:"+k2Gate("gate", `        mode: continuous
        request_timeout: 10s
        valid_timeout: 1h
      score: {multipliers: {queue_wait_ms: 1}}
`, a, b), kept)
	getAs(t, m.address(), "first")
	var wg sync.WaitGroup
	for i := range 99 {
		wg.Go(func() { getAs(t, m.address(), fmt.Sprint("r", i)) })
	}
	wg.Wait()
	if x, y := a.served.Load(), b.served.Load(); x < 45 || y < 45 || x+y != 100 || a.asked.Load() != 1 {
		t.Errorf("served %d and %d, asked %d times", x, y, a.asked.Load())
	}
	write(t, m.dir, "tine.yaml", "apps:"+k2Gate("gate", `        mode: continuous
        request_timeout: 10s
        valid_timeout: 200ms
      score: queue_wait_ms * 2
`, a, b))
	before := m.workers("gate")
	m.tell(0, "config", "apply")
	eventually.True(t, "the servers are asked at the beat", func() bool { return a.asked.Load() > 5 && b.asked.Load() > 5 })
	if now := m.workers("gate"); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("workers %v, then %v: a new policy needs none", before, now)
	}
	mark := m.mark()
	a.stats.Store("no")
	b.stats.Store("no")
	m.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Raw, "picked by an old evaluation") })
	getAs(t, m.address(), "old")
	if d := decided(t, m, "gate"); d.Status != 200 || d.Candidates[0].ReportAgeMS < 600 || d.Candidates[0].Stats["queue_wait_ms"] != 5 {
		t.Errorf("%+v", d)
	}
	m.stop()
	m.ended(0)
}

// TestGateEvaluateNone: where no server has ever sent its statistics, a request is answered with 503 and the reason of each. A second
// gateway with other servers and weights is not concerned.
func TestGateEvaluateNone(t *testing.T) {
	broken := newAppServer(t, 1, `{`).start(false)
	low := newAppServer(t, 2, `{"bscSystemCPUAvg": 10, "bscSystemFreeMemory": 100}`).start(false)
	free := newAppServer(t, 3, `{"bscSystemCPUAvg": 90, "bscSystemFreeMemory": 900}`).start(false)
	m := startReady(t, "apps:"+k2Gate("one", "        request_timeout: 10s\n      score: {multipliers: {cpu_used: 1}}\n", broken)+
		k2Gate("two", "        request_timeout: 10s\n      score: {multipliers: {cpu_used: 1}}\n", low, free)+
		k2Gate("three", "        request_timeout: 10s\n      score: {multipliers: {cpu_used: 0, memory_free: 1}}\n", low, free)+
		// As K2 does it: free memory counts against a server.
		k2Gate("four", "        request_timeout: 10s\n      score: {multipliers: {cpu_used: 1, memory_free: 1}, raw: true}\n", low, free), kept)
	res, err := http.Get("http://" + m.addresses("one")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 503 || !strings.Contains(string(text), "no server has sent its statistics: "+broken.address()+": ") || !strings.Contains(string(text), "is not JSON") {
		t.Errorf("%s %q", res.Status, text)
	}
	for gateway, want := range map[string]*appServer{"two": low, "three": free, "four": low} {
		getAs(t, m.addresses(gateway)[0], gateway)
		if d := decided(t, m, gateway); d.Chosen != want.address() {
			t.Errorf("%s: %+v", gateway, d)
		}
	}
	m.stop()
	m.ended(0)
}

// TestGateEvaluateLogin: who logs in goes to the server that is best then, and stays there: later requests have no server asked, also
// when it does not tell its statistics. When the server is gone the user is at another one, which is logged; the logout ends it.
func TestGateEvaluateLogin(t *testing.T) {
	a := newAppServer(t, 1, `{"bscSystemCPUAvg": 90}`).start(false)
	b := newAppServer(t, 2, `{"bscSystemCPUAvg": 10}`).start(false)
	m := startReady(t, "apps:"+k2Gate("gate", `        request_timeout: 10s
      score: {multipliers: {cpu_used: 1}}
      sticky: {by: login, login: /login, logout: /logout}
`, a, b), kept)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	user, visitor := &http.Client{Jar: jar}, http.DefaultClient
	expect := func(c *http.Client, path string, want int) {
		t.Helper()
		res, err := c.Get("http://" + m.address() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var who about
		if err := json.NewDecoder(res.Body).Decode(&who); err != nil || who.PID != want {
			t.Errorf("%s: server %d answers, want %d (%s, %v)", path, who.PID, want, res.Status, err)
		}
	}
	expect(user, "/login", 2)
	a.stats.Store(`{"bscSystemCPUAvg": 10}`)
	b.stats.Store(`{"bscSystemCPUAvg": 90}`)
	asked := b.asked.Load()
	for range 5 {
		expect(user, "/page", 2)
	}
	if now := b.asked.Load(); now != asked {
		t.Errorf("the requests of a user have servers asked: %d times, then %d", asked, now)
	}
	expect(visitor, "/page", 1)
	b.stats.Store("no")
	expect(visitor, "/page", 1) // b is left out from here on
	expect(user, "/page", 2)
	expect(user, "/logout", 2)
	expect(user, "/page", 1)
	b.stats.Store(`{"bscSystemCPUAvg": 1}`)
	eventually.True(t, "the login goes to the server that answers again", func() bool {
		var who about
		for _, path := range []string{"/logout", "/login"} { // a user who is logged in at a would stay there
			res, err := user.Get("http://" + m.address() + path)
			if err != nil {
				return false
			}
			err = json.NewDecoder(res.Body).Decode(&who)
			if res.Body.Close(); err != nil {
				return false
			}
		}
		return who.PID == 2
	})
	mark := m.mark()
	b.Close()
	expect(user, "/page", 1)
	m.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Raw, "a user's member could not take a request") })
	m.stop()
	m.ended(0)
}
