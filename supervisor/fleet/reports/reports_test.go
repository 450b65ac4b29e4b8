package reports

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked runs a Source that asks the servers, and has what it tells.
type asked struct {
	t     *testing.T
	told  chan fleet.Reported
	warns chan string
}

func ask(t *testing.T, o Options, list ...members.Member) *asked {
	t.Helper()
	a := &asked{t, make(chan fleet.Reported), make(chan string, 100)}
	o.Warn = func(text string) { a.warns <- text }
	if o.Rounds.Every == 0 {
		o.Rounds = rounds.Options{Every: 10 * time.Millisecond, Timeout: eventually.Patience()}
	}
	s := New(o)
	s.Update(list)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(ev fleet.Event) {
			select {
			case a.told <- ev.(fleet.Reported):
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return a
}

func (a *asked) report() fleet.Reported {
	a.t.Helper()
	return eventually.Receive(a.t, "a report", a.told)
}

func server(t *testing.T, h http.HandlerFunc) members.Member {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return members.Member{ID: "a b", Address: s.Listener.Addr().String()}
}

// TestDocument: another Tine's load arrives, with the round trip, and each report is newer than the one before.
func TestDocument(t *testing.T) {
	t.Parallel()
	h := Handler(7, func() map[members.Stat]members.Value {
		return map[members.Stat]members.Value{members.CPUIdle: 0.25, members.InFlight: 3}
	})
	m := server(t, h.ServeHTTP)
	a := ask(t, Options{}, m)
	first, second := a.report(), a.report()
	r := first.Report
	if first.ID != m.ID || r.Stats[members.CPUIdle] != 0.25 || r.Stats[members.InFlight] != 3 {
		t.Errorf("%+v", first)
	}
	if rtt, ok := r.Stats[members.RTT]; !ok || rtt <= 0 || rtt > 1000*eventually.Patience().Seconds() {
		t.Errorf("a round trip of %v ms", rtt)
	}
	if !second.Report.After(&r) || r.ReceivedAt <= 0 || r.ReceivedAt > ipc.Monotonic() || second.Report.ReceivedAt < r.ReceivedAt {
		t.Errorf("%+v and then %+v", r, second.Report)
	}
	response, err := http.Post("http://"+m.Address+Path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestNotNew: an answer that was seen before is not a report; one of a server that was started anew is, even if its clock went back.
func TestNotNew(t *testing.T) {
	t.Parallel()
	answers := []string{"7 1", "7 1", "7 0", "7 2", "5 1", "5 2"}
	var n atomic.Int64
	m := server(t, func(w http.ResponseWriter, _ *http.Request) {
		var epoch, sequence int
		i := int(n.Add(1)) - 1
		fmt.Sscan(answers[min(i, len(answers)-1)], &epoch, &sequence)
		fmt.Fprintf(w, `{"epoch":%d,"sequence":%d,"hold":1000000000000,"stats":{"n":%d}}`, epoch, sequence, i)
	})
	a := ask(t, Options{}, m)
	for _, want := range []float64{0, 3, 4, 5} {
		r := a.report().Report
		if r.Stats["n"] != want {
			t.Fatalf("report %v, want %v", r.Stats["n"], want)
		}
		if r.Stats[members.RTT] != 0 || r.Hold != 1e12 {
			t.Errorf("what is held back is no part of the round trip: %+v", r)
		}
	}
}

// TestPaths: statistics of any JSON; one that is absent is absent.
func TestPaths(t *testing.T) {
	t.Parallel()
	var url atomic.Value
	m := server(t, func(w http.ResponseWriter, r *http.Request) {
		url.Store(r.URL.String())
		_, _ = io.WriteString(w, `{"cpu":{"busy":75},"sessions":{"users":4}}`)
	})
	stats := map[members.Stat]string{
		members.CPUIdle: "1 - cpu.busy / 100", members.Sessions: "sessions.users", members.AnonymousSessions: "sessions.anonymous",
	}
	a := ask(t, Options{Question: members.Question{URL: "http://{host}:{port}/stats/{id}?x=1", Stats: stats}}, m)
	r := a.report().Report
	a.report()
	if len(r.Stats) != 3 || r.Stats[members.CPUIdle] != 0.25 || r.Stats[members.Sessions] != 4 {
		t.Errorf("%v", r.Stats)
	}
	if url.Load() != "/stats/a%20b?x=1" {
		t.Error(url.Load())
	}
}

// TestFaults: a member that does not answer as it should has no report; each reason is told once.
func TestFaults(t *testing.T) {
	t.Parallel()
	texts := []string{"", "no JSON", `[]`, "redirect", "big", `{"epoch":1,"sequence":1,"stats":{}}`}
	var n atomic.Int64
	m := server(t, func(w http.ResponseWriter, _ *http.Request) {
		switch text := texts[min(int(n.Add(1))-1, 2*len(texts)-1)/2]; text {
		case "":
			http.Error(w, "no", http.StatusServiceUnavailable)
		case "redirect":
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		case "big":
			_, _ = w.Write(make([]byte, members.MaxAnswer+1))
		default:
			_, _ = io.WriteString(w, text)
		}
	})
	a := ask(t, Options{}, m)
	a.report()
	var got []string
	for len(a.warns) > 0 {
		got = append(got, strings.TrimPrefix(<-a.warns, "member a b does not say how its load is: "))
	}
	want := []string{
		"status 503: 200 is expected", "its answer is not a load report: invalid character 'o' in literal null (expecting 'u')",
		"its answer is not a load report: json: cannot unmarshal array into Go value of type members.Report", "status 302: 200 is expected",
		"its answer has more than 65536 bytes",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSilent: a member that accepts and does not answer, one that refuses, and one whose socket is not there.
func TestSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, m := range map[string]members.Member{
		"member a does not say how its load is: no answer in time":         {ID: "a", Address: l.Addr().String()},
		"member b does not say how its load is: no such file or directory": {ID: "b", Address: filepath.Join(t.TempDir(), "b.sock")},
		"member c does not say how its load is: connection refused":        {ID: "c", Address: refusing(t)},
	} {
		o := Options{Rounds: rounds.Options{Every: 20 * time.Millisecond, Timeout: 100 * time.Millisecond}}
		if m.ID != "a" {
			o.Rounds.Timeout = eventually.Patience()
		}
		a := ask(t, o, m)
		if got := eventually.Receive(t, want, a.warns); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// TestUnixSockets: members at sockets are asked at their own, though their URLs are the same.
func TestUnixSockets(t *testing.T) {
	t.Parallel()
	var list []members.Member
	for i := range 2 {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: Handler(1, func() map[members.Stat]members.Value { return map[members.Stat]members.Value{"n": float64(i)} })}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close(); <-ended })
		list = append(list, members.Member{ID: fmt.Sprint(i), Address: path})
	}
	a := ask(t, Options{}, list...)
	seen := map[string]int{}
	for len(seen) < 2 || seen["0"] < 3 || seen["1"] < 3 {
		r := a.report()
		if seen[r.ID]++; fmt.Sprint(r.Report.Stats["n"]) != r.ID {
			t.Fatalf("%+v", r)
		}
	}
}
