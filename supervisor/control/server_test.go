package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

func TestClientAndServer(t *testing.T) {
	f := &fake{events: ids(1, 5), applyTo: api.ApplyResult{Changes: []api.Change{{Path: "apps.web.workers", Old: "2", New: "4", Effect: api.EffectAtOnce}}}}
	_, c := serve(t, f)
	ctx := boundedContext(t)

	st, err := c.Status(ctx)
	if err != nil || st.Steering != "ebpf" || len(st.Apps) != 2 || st.Apps[0].Workers[0].PID != 4711 || st.Apps[1].Workers == nil {
		t.Fatalf("Status = %+v, %v", st, err)
	}
	if a, err := c.App(ctx, "web"); err != nil || a.Name != "web" {
		t.Fatalf("App = %+v, %v", a, err)
	}
	var refusal *api.Refusal
	if _, err := c.App(ctx, "wbe"); !errors.As(err, &refusal) || refusal.Status != 404 || refusal.Suggestion != "web" {
		t.Fatalf("App(wbe): %v", err)
	}

	var steps []api.Progress
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "web", Reason: "deploy"}, func(p api.Progress) { steps = append(steps, p) }); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 3 || !steps[2].Final || !steps[2].OK || steps[1].Done != 1 {
		t.Fatalf("progress = %+v", steps)
	}
	if o := f.lastOrder(); o.Verb != api.VerbReload || o.App != "web" || o.Reason != "deploy" {
		t.Fatalf("order = %+v", o)
	}
	slot := 1
	for _, o := range []api.Order{
		{Verb: api.VerbStart, App: "web", Slot: &slot}, {Verb: api.VerbStop, Now: true}, {Verb: api.VerbRestart, App: "web", Slot: &slot},
		{Verb: api.VerbScale, App: "web", N: 4}, {Verb: api.VerbScale, App: "web", N: -1, By: true}, {Verb: api.VerbDrain, App: "web", Slot: &slot},
		{Verb: api.VerbSignal, App: "web", Signal: "HUP"}, {Verb: api.VerbReload, IfRunning: api.IfRunningRefuse}, {Verb: api.VerbShutdown, Now: true},
	} {
		if err := c.Do(ctx, o, nil); err != nil {
			t.Errorf("%s: %v", o.Verb, err)
		}
		o.Reason = "control"
		want, _ := json.Marshal(o)
		last := f.lastOrder()
		if got, _ := json.Marshal(last); !bytes.Equal(got, want) || last.App != o.App || last.Verb != o.Verb {
			t.Errorf("order %s %s became %s %s", o.Verb, want, last.Verb, got)
		}
	}

	for _, key := range []string{"price", "a/b//c", "..", ".", "ü %2F", "a?b#c"} {
		data := []byte("value of " + key)
		epoch, err := c.SetValue(ctx, key, data)
		if err != nil {
			t.Fatalf("SetValue(%q): %v", key, err)
		}
		got, v, err := c.Value(ctx, key)
		if err != nil || !bytes.Equal(got, data) || v.Epoch != epoch || v.Source != "set" || v.AgeS != 0.25 {
			t.Fatalf("Value(%q) = %q, %+v, %v", key, got, v, err)
		}
		if err := c.DeleteValue(ctx, key); err != nil {
			t.Fatalf("DeleteValue(%q): %v", key, err)
		}
	}
	for _, d := range []api.MemberDrain{
		{Gateway: "gate", Member: "10.0.0.1:80", Reason: "a new disk"}, {Gateway: "gate", Member: "/run/a b.sock", Undo: true},
	} {
		if err := c.DrainMember(ctx, d); err != nil || f.drains[len(f.drains)-1] != d {
			t.Errorf("%+v became %+v, %v", d, f.drains, err)
		}
	}
	if err := c.DrainMember(ctx, api.MemberDrain{Gateway: "gat", Member: "a"}); !errors.As(err, &refusal) || refusal.Suggestion != "gate" {
		t.Errorf("an unknown gateway: %v", err)
	}
	if _, _, err := c.Value(ctx, "prise"); !errors.As(err, &refusal) || refusal.Suggestion != "price" {
		t.Fatalf("Value(prise): %v", err)
	}
	if cache, err := c.Cache(ctx); err != nil || len(cache.Values) != 1 {
		t.Fatalf("Cache = %+v, %v", cache, err)
	}
	if yaml, err := c.Config(ctx); err != nil || string(yaml) != "apps: {}\n" {
		t.Fatalf("Config = %s, %v", yaml, err)
	}
	for _, dry := range []bool{true, false} {
		if r, err := c.Apply(ctx, api.ApplyRequest{Dry: dry}); err != nil || r.Applied == dry || len(r.Changes) != 1 {
			t.Fatalf("Apply = %+v, %v", r, err)
		}
	}
	if d, err := c.Doctor(ctx); err != nil || !strings.Contains(string(d), `"cpus":2`) {
		t.Fatalf("Doctor = %s, %v", d, err)
	}
	if _, err := c.Metrics(ctx); !errors.As(err, &refusal) || refusal.Status != 501 {
		t.Fatalf("Metrics: %v", err)
	}
	for _, test := range []struct {
		after uint64
		last  int
		want  []uint64
	}{{0, 0, []uint64{1, 2, 3, 4, 5}}, {3, 0, []uint64{4, 5}}, {0, 2, []uint64{4, 5}}, {0, -1, nil}, {9, 0, nil}} {
		var got []uint64
		err := c.EventsLast(ctx, test.after, test.last, false, func(e api.Event) error { got = append(got, e.ID); return nil })
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("EventsLast(%d, %d) = %v, %v, want %v", test.after, test.last, got, err, test.want)
		}
	}
	var lines []string
	if err := c.Logs(ctx, api.LogQuery{}, func(l api.LogLine) error { lines = append(lines, l.Text); return nil }); err != nil || !slices.Equal(lines, []string{"hello <&>"}) {
		t.Fatalf("Logs = %q, %v", lines, err)
	}
}

func TestLogQueryArrives(t *testing.T) {
	f := &fake{}
	_, c := serve(t, f)
	slot := 2
	want := api.LogQuery{App: "web", Slot: &slot, Stream: api.StreamStderr, Last: 10, Since: time.Now().Truncate(time.Second).UTC(), Grep: "a+b", After: 7}
	if err := c.Logs(boundedContext(t), want, func(api.LogLine) error { return nil }); err != nil {
		t.Fatal(err)
	}
	got := f.queries[0]
	if *got.Slot != 2 || !got.Since.Equal(want.Since) {
		t.Errorf("query = %+v", got)
	}
	got.Slot, got.Since = want.Slot, want.Since
	if got != want {
		t.Errorf("query = %+v, want %+v", got, want)
	}
	var refusal *api.Refusal
	if err := c.Logs(boundedContext(t), api.LogQuery{Grep: "("}, nil); !errors.As(err, &refusal) || refusal.Field != "grep" {
		t.Errorf("a bad expression: %v", err)
	}
}

func TestOrderThatFails(t *testing.T) {
	f := &fake{do: func(_ context.Context, o api.Order, progress func(api.Progress)) error {
		switch o.App {
		case "no":
			return api.Refuse(http.StatusConflict, "a reload is under way")
		case "told":
			progress(api.Progress{Final: true, Error: "slot 1 did not become ready", Output: "panic: boom"})
		}
		return errors.New("rollout aborted")
	}}
	s, c := serve(t, f)
	ctx := boundedContext(t)
	var refusal *api.Refusal
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "no"}, nil); !errors.As(err, &refusal) || refusal.Status != 409 {
		t.Fatalf("refused: %v", err)
	}
	var failed *Failed
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "web"}, nil); !errors.As(err, &failed) || failed.Error() != "rollout aborted" {
		t.Fatalf("failed: %v", err)
	}
	if err := c.Do(ctx, api.Order{Verb: api.VerbReload, App: "told"}, nil); !errors.As(err, &failed) || failed.Output != "panic: boom" {
		t.Fatalf("failed: %v", err)
	}
	// The same without a stream: a status that curl -f understands, and the document.
	status, kind, body := ask(t, s, "POST", "/v1/apps/told/reload", "")
	if status != 500 || kind != typeJSON || !strings.Contains(body, "panic: boom") {
		t.Fatalf("%d %s %s", status, kind, body)
	}
	status, kind, _ = ask(t, s, "POST", "/v1/apps/no/reload", "")
	if status != 409 || kind != typeProblem {
		t.Fatalf("%d %s", status, kind)
	}
}

// ask sends a request without the client.
func ask(t testing.TB, s *Server, method, target, body string, header ...string) (status int, kind, answer string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, s.Path()) }}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(boundedContext(t), method, "http://tine"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(data)
}

func TestProblems(t *testing.T) {
	s, _ := serve(t, &fake{})
	for _, test := range []struct {
		method, target, body string
		want                 api.Refusal // what is empty is not looked at
	}{
		{"GET", "/v1/statsu", "", api.Refusal{Status: 404, Suggestion: "/v1/status"}},
		{"GET", "/status", "", api.Refusal{Status: 404, Suggestion: "/v1/status"}},
		{"POST", "/v1/apps/web/reolad", "", api.Refusal{Status: 404, Suggestion: "/v1/apps/web/reload"}},
		{"GET", "/", "", api.Refusal{Status: 404}},
		{"POST", "/v1/status", "", api.Refusal{Status: 405, Suggestion: "GET"}},
		{"GET", "/v1/apps/web/reload", "", api.Refusal{Status: 405, Suggestion: "POST"}},
		{"PATCH", "/v1/cache/a", "", api.Refusal{Status: 405}},
		{"GET", "/v1/apps/wbe", "", api.Refusal{Status: 404, Suggestion: "web"}},
		{"GET", "/v1/apps/wbe/workers", "", api.Refusal{Status: 404, Suggestion: "web"}},
		{"GET", "/v1/logs?folow=1", "", api.Refusal{Status: 400, Field: "folow", Suggestion: "follow"}},
		{"GET", "/v1/logs?slot=x", "", api.Refusal{Status: 400, Field: "slot"}},
		{"GET", "/v1/logs?slot=-1", "", api.Refusal{Status: 400, Field: "slot"}},
		{"GET", "/v1/logs?slot=1&slot=2", "", api.Refusal{Status: 400, Field: "slot"}},
		{"GET", "/v1/logs?since=yesterday", "", api.Refusal{Status: 400, Field: "since"}},
		{"GET", "/v1/logs?stream=stdot", "", api.Refusal{Status: 400, Field: "stream", Suggestion: "stdout"}},
		{"GET", "/v1/logs?follow=perhaps", "", api.Refusal{Status: 400, Field: "follow"}},
		{"GET", "/v1/logs?%zz", "", api.Refusal{Status: 400}},
		{"GET", "/v1/status?a=1", "", api.Refusal{Status: 400, Field: "a"}},
		{"GET", "/v1/events?after=-3", "", api.Refusal{Status: 400, Field: "after"}},
		{"GET", "/v1/metrics", "", api.Refusal{Status: 501}},
		{"DELETE", "/v1/cache/none", "", api.Refusal{Status: 404}},
		{"POST", "/v1/apps/web/scale", "", api.Refusal{Status: 400, Field: "n"}},
		{"POST", "/v1/apps/web/scale", `{"n":null}`, api.Refusal{Status: 400, Field: "n"}},
		{"POST", "/v1/apps/web/scale", `{"n":-1}`, api.Refusal{Status: 400, Field: "n"}},
		{"POST", "/v1/apps/web/scale", "{\n  \"n\": \"4\"\n}", api.Refusal{Status: 400, Field: "n", Line: 2, Column: 8}},
		{"POST", "/v1/apps/web/scale", "{\n \"n\": 4,\n}", api.Refusal{Status: 400, Line: 3, Column: 1}},
		{"POST", "/v1/apps/web/scale", `{"n":4`, api.Refusal{Status: 400, Line: 1}},
		{"POST", "/v1/apps/web/scale", `{"n":4} x`, api.Refusal{Status: 400, Line: 1, Column: 9}},
		{"POST", "/v1/apps/web/scale", `[4]`, api.Refusal{Status: 400, Line: 1, Column: 1}},
		{"POST", "/v1/apps/web/scale", `{"N":4}`, api.Refusal{Status: 400, Field: "N", Suggestion: "n", Line: 1, Column: 2}},
		{"POST", "/v1/apps/web/scale", `{"n":4,"n":5}`, api.Refusal{Status: 400, Field: "n", Line: 1, Column: 8}},
		{"POST", "/v1/apps/web/reload", `{"n":4}`, api.Refusal{Status: 400, Field: "n"}},
		{"POST", "/v1/apps/web/reload", `{"if_runing":"queue"}`, api.Refusal{Status: 400, Suggestion: "if_running"}},
		{"POST", "/v1/apps/web/reload", `{"if_running":"quue"}`, api.Refusal{Status: 400, Field: "if_running", Suggestion: "queue"}},
		{"POST", "/v1/apps/web/drain", "", api.Refusal{Status: 400, Field: "slot"}},
		{"POST", "/v1/apps/-/drain", `{"slot":1}`, api.Refusal{Status: 400, Field: "slot"}},
		{"POST", "/v1/apps/web/drain", `{"slot":-1}`, api.Refusal{Status: 400, Field: "slot"}},
		{"POST", "/v1/apps/web/signal", "", api.Refusal{Status: 400, Field: "signal"}},
		{"POST", "/v1/apps/web/stop", `{"reason":"` + strings.Repeat("x", 300) + `"}`, api.Refusal{Status: 400, Field: "reason"}},
		{"POST", "/v1/apps/web/stop", `{"reason":"` + strings.Repeat("x", maxJSON) + `"}`, api.Refusal{Status: 413}},
	} {
		t.Run(test.method+" "+test.target+" "+test.body[:min(len(test.body), 30)], func(t *testing.T) {
			status, kind, body := ask(t, s, test.method, test.target, test.body)
			var got api.Refusal
			if err := json.Unmarshal([]byte(body), &got); err != nil || kind != typeProblem {
				t.Fatalf("%s %s: %v", kind, body, err)
			}
			if got.Status != status || got.Status != test.want.Status || got.Title == "" || got.Detail == "" ||
				test.want.Suggestion != "" && got.Suggestion != test.want.Suggestion ||
				test.want.Field != "" && got.Field != test.want.Field ||
				test.want.Line != 0 && got.Line != test.want.Line ||
				test.want.Column != 0 && got.Column != test.want.Column {
				t.Errorf("got %s, want %+v", body, test.want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	f := &fake{}
	s, _ := serve(t, f)
	if status, _, body := ask(t, s, "GET", "/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
	f.status = func(context.Context) (api.Status, error) {
		return api.Status{Apps: []api.App{{Name: "web", State: api.AppRunning, Desired: 2}}}, nil
	}
	if status, _, body := ask(t, s, "GET", "/healthz", ""); status != 503 || !strings.Contains(body, "web") {
		t.Errorf("%d %s", status, body)
	}
}

func TestMounted(t *testing.T) {
	s := New(&fake{}, Options{Path: folder(t) + "/web.sock"})
	s.Handle("GET /v1/metrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "tine_up 1\n") }))
	s.Handle("GET /extra", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	c := start(t, s)
	if text, err := c.Metrics(boundedContext(t)); err != nil || string(text) != "tine_up 1\n" {
		t.Errorf("Metrics = %s, %v", text, err)
	}
	if status, kind, body := ask(t, s, "GET", "/extra", ""); status != 500 || kind != typeProblem {
		t.Errorf("a handler that panics: %d %s %s", status, kind, body)
	}
}

func TestMasterFails(t *testing.T) {
	f := &fake{status: func(context.Context) (api.Status, error) { return api.Status{}, errors.New("out of order") }}
	s, _ := serve(t, f)
	if status, kind, body := ask(t, s, "GET", "/v1/status", ""); status != 500 || kind != typeProblem || !strings.Contains(body, "out of order") {
		t.Errorf("%d %s %s", status, kind, body)
	}
	f.status = func(context.Context) (api.Status, error) { panic("oh") }
	if status, kind, body := ask(t, s, "GET", "/v1/status", ""); status != 500 || kind != typeProblem {
		t.Errorf("%d %s %s", status, kind, body)
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	s, _ := serve(t, &fake{events: ids(1, 2)})
	for _, test := range []struct{ args, want string }{
		{"http://tine/v1/status", `"name":"web"`},
		{"-X POST http://tine/v1/apps/web/reload", `"final":true,"ok":true`},
		{`-d {"n":4} http://tine/v1/apps/web/scale`, `"ok":true`},
		{"-H Accept:application/x-ndjson -X POST http://tine/v1/apps/web/reload", "\"state\":\"starting\""},
		{"http://tine/v1/events", `[{"id":1,`},
		{"http://tine/v1/logs?last=1", `"text":"hello <&>"`},
		{"-T - http://tine/v1/cache/price", `{"epoch":1}`},
		{"http://tine/v1/cache/price", `7.50`},
		{"http://tine/v1/openapi.json", `"3.1`},
		{"http://tine/nothing", `"status":404`},
	} {
		cmd := exec.CommandContext(boundedContext(t), curl, append([]string{"-sS", "--unix-socket", s.Path()}, strings.Fields(test.args)...)...)
		cmd.Stdin = strings.NewReader("7.50")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("curl %s: %s, %v, want %s", test.args, out, err, test.want)
		}
	}
}
