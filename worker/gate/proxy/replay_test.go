package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

// pickerOf picks of the servers at these addresses, by key, or the first where it has none.
func pickerOf(t *testing.T, name string, addresses ...string) *gate.Picker {
	t.Helper()
	p, err := gate.New(gate.Options{Way: gate.First})
	if err != nil {
		t.Fatal(err)
	}
	var table members.Table
	for i, a := range addresses {
		table.Members = append(table.Members, members.Member{ID: fmt.Sprint(name, i), Type: name, Address: a, Weight: 1, State: members.Ready})
	}
	p.Update(table, 1)
	return p
}

// twoPools is a front whose requests go to the members web, and from there, if one wants it, to the members chat.
func twoPools(t *testing.T, keep int, web, chat []string) *front {
	t.Helper()
	pools := map[string]*gate.Picker{"web": pickerOf(t, "web", web...), "chat": pickerOf(t, "chat", chat...)}
	return frontOf(t, func(o *Options) {
		o.KeepBody = keep
		o.Route = func(*http.Request) Choice { return Choice{Picker: pools["web"], Pool: "web"} }
		o.Replay = func(_ *http.Request, c Choice, to Replay) (Choice, bool) {
			if to.Type != "" {
				c.Picker, c.Pool = pools[to.Type], to.Type
			}
			c.Key, c.Prefer = to.Key, to.Member
			return c, c.Picker != nil
		}
	}, "unused:1")
}

// wants is a member that has read what it wants of the body, and has each request sent on.
func wants(t *testing.T, to string, read int64) string {
	return server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, read)
		w.Header().Set(replayHeader, to)
		w.Header().Set("X-Of-Asker", "dropped")
		fmt.Fprint(w, "dropped too")
	})
}

func echo(t *testing.T) string {
	return server(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Saw", r.Header.Get(replayHeader))
		w.Header().Set("Trailer", replayHeader)
		fmt.Fprintf(w, "%s %s %d %s", r.Method, r.RequestURI, len(b), b[:min(len(b), 5)])
		w.Header().Set(replayHeader, "type=web")
	})
}

// TestReplay: a request that a member wants to be sent on arrives at the other one as the client has sent it, with its body, and the
// client sees nothing of the first.
func TestReplay(t *testing.T) {
	t.Parallel()
	last := echo(t)
	for name, asker := range map[string]string{
		"after the whole body": wants(t, `type=chat; key="a;b"`, 1<<30), "before the body": wants(t, "type=chat", 0), "amid the body": wants(t, "type=chat;member=chat0", 1000),
	} {
		f := twoPools(t, 1<<20, []string{asker}, []string{last})
		for _, size := range []int{0, 5, 1000, 100_000, 1 << 20} {
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader(strings.Repeat("x", size))
				if chunked {
					body = struct{ io.Reader }{body}
				}
				r := request(t, "POST", f.URL+"/a?b=c", body)
				r.Header.Set(replayHeader, "type=web") // of a client it says nothing
				res, text := f.do(t, r)
				if want := fmt.Sprintf("POST /a?b=c %d %s", size, strings.Repeat("x", min(size, 5))); text != want {
					t.Errorf("%s, %d bytes, chunked %v: %s %q, want %q", name, size, chunked, res.Status, text, want)
				}
				if a := <-f.log; a.Member != "chat0" || a.Tries != 2 || a.Err != nil {
					t.Errorf("%+v", a)
				}
				if res.Header.Get("X-Of-Asker") != "" || res.Header.Get("X-Saw") != "" || res.Header.Get(replayHeader) != "" || res.Trailer.Get(replayHeader) != "" {
					t.Errorf("%v %v", res.Header, res.Trailer)
				}
			}
		}
	}
}

// TestReplayRefused: what cannot be sent on is answered with 502, and the log says why.
func TestReplayRefused(t *testing.T) {
	t.Parallel()
	last := echo(t)
	f := func(asker string) *front { return twoPools(t, 1000, []string{asker}, []string{last}) }
	for want, c := range map[string]struct {
		asker string
		body  int
	}{
		"more than the 1000 bytes that are kept":      {wants(t, "type=chat", 1<<30), 1001},
		`no members of the type "game"`:               {wants(t, "type=game", 0), 0},
		`"room" is not known; write type, key or mem`: {wants(t, "room=1", 0), 0},
		"a quote is not closed":                       {wants(t, `key="1`, 0), 0},
		"name=value is expected":                      {wants(t, "chat", 0), 0},
		"it is empty":                                 {wants(t, "", 0), 0},
	} {
		f := f(c.asker)
		res, text := f.do(t, request(t, "POST", f.URL, strings.NewReader(strings.Repeat("x", c.body))))
		a := <-f.log
		if res.StatusCode != http.StatusBadGateway || !strings.Contains(text, "wants the request to be sent on") || a.Err == nil || !strings.Contains(a.Err.Error(), want) {
			t.Errorf("%s: %s %q, %v", want, res.Status, text, a.Err)
		}
	}
	// A member that has asked is not picked again, and a circle of many ends.
	one := f(wants(t, "type=web", 0))
	if res, text := one.do(t, request(t, "GET", one.URL, nil)); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s %q", res.Status, text)
	}
	var web []string
	for range 5 {
		web = append(web, wants(t, "type=web", 0))
	}
	many := twoPools(t, 0, web, nil)
	res, _ := many.do(t, request(t, "GET", many.URL, nil))
	if a := <-many.log; res.StatusCode != http.StatusBadGateway || a.Tries != 4 || !strings.Contains(a.Err.Error(), "3 times already") {
		t.Errorf("%s %+v", res.Status, a)
	}
	// Where no wish is heard, the answer is the client's, without the header.
	plain := frontOf(t, nil, wants(t, "type=chat", 0))
	if res, text := plain.do(t, request(t, "GET", plain.URL, nil)); text != "dropped too" || res.Header.Get(replayHeader) != "" {
		t.Errorf("%q %v", text, res.Header)
	}
}

// TestNoRoute: a request that no route is for is answered with 404, and one of a handler by it.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	f := frontOf(t, func(o *Options) {
		o.Route = func(r *http.Request) Choice {
			if r.URL.Path != "/here" {
				return Choice{}
			}
			b, err := PeekBody(r, 10)
			return Choice{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				all, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusTeapot)
				fmt.Fprintf(w, "%s %v %s", b, err, all)
			})}
		}
	}, "unused:1")
	res, text := f.do(t, request(t, "GET", f.URL+"/x", nil))
	if a := <-f.log; res.StatusCode != http.StatusNotFound || !strings.Contains(text, "404 Not Found: no route is for") || a.Err == nil || a.Status != 404 {
		t.Errorf("%s %q %+v", res.Status, text, a)
	}
	for body, want := range map[string]string{"": " <nil> ", "1234567890": "1234567890 <nil> 1234567890", "12345678901": " the body is longer than is looked at 12345678901"} {
		for _, r := range []io.Reader{strings.NewReader(body), struct{ io.Reader }{strings.NewReader(body)}} {
			if _, text := f.do(t, request(t, "POST", f.URL+"/here", r)); text != want {
				t.Errorf("%q: %q", body, text)
			}
			if a := <-f.log; a.Status != http.StatusTeapot {
				t.Errorf("%+v", a)
			}
		}
	}
}

// TestRetryOfKeptBody: a body that is kept can be sent again after a failure, whether the member has read it or not.
func TestRetryOfKeptBody(t *testing.T) {
	t.Parallel()
	dies := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	told := make(chan string, 10)
	web := pickerOf(t, "web", dies, echo(t))
	f := frontOf(t, func(o *Options) {
		o.KeepBody = 1000
		o.Route = func(*http.Request) Choice { return Choice{Picker: web, Target: "/other?q"} }
		o.Replay = func(*http.Request, Choice, Replay) (Choice, bool) { return Choice{}, false }
		o.Outcome = func(id string, how gate.Outcome, why string) { told <- fmt.Sprint(id, how, why != "") }
	}, "unused:1")
	if res, text := f.do(t, request(t, "PUT", f.URL, strings.NewReader("hello"))); text != "PUT /other?q 5 hello" {
		t.Errorf("%s %q", res.Status, text)
	}
	if a, b := <-told, <-told; a != "web01 true" || b != "web10 false" {
		t.Errorf("%s, %s", a, b)
	}
	if res, text := f.do(t, request(t, "PUT", f.URL, strings.NewReader(strings.Repeat("x", 1001)))); res.StatusCode != http.StatusBadGateway {
		t.Errorf("%s %q", res.Status, text)
	}
}

func FuzzParseReplay(f *testing.F) {
	for _, s := range []string{"type=chat; key=room1", `key="a;b";member=x`, `type="`, "=", ";;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if to, err := ParseReplay(text); (err == nil) == (to == Replay{}) {
			t.Errorf("%q is %+v, %v", text, to, err)
		}
	})
}
