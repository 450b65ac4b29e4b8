package proxy

import (
	"net/http"
	"testing"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
)

// TestHistory: what a proxy did with a request is found by the request's X-Request-Id: each member that it tried, and how that went.
func TestHistory(t *testing.T) {
	t.Parallel()
	h, err := history.New(8)
	if err != nil {
		t.Fatal(err)
	}
	good := server(t, func(http.ResponseWriter, *http.Request) {})
	f := frontOf(t, func(o *Options) { o.History = h }, closed(t), good)
	r := request(t, "POST", f.URL, nil)
	r.Header.Set("X-Request-Id", "order-4711")
	if res, text := f.do(t, r); res.StatusCode != 200 {
		t.Fatalf("%s %q", res.Status, text)
	}
	<-f.log
	var d decisions.Decision
	eventually.True(t, "the request is remembered as over", func() bool {
		all := h.Find(decisions.Query{ID: "order-4711", Last: 2}).Decisions
		if len(all) != 1 {
			t.Fatalf("%+v", all)
		}
		d = all[0]
		return !d.Running
	})
	if d.Status != 200 || d.Chosen != "m1" || len(d.Tries) != 2 || d.Tries[0].Outcome != decisions.Refused || d.Tries[0].Why == "" || d.Tries[1].Outcome != decisions.Answered {
		t.Errorf("%+v", d)
	}
	if c := d.Candidates[0]; c.ID != "m0" || c.Picks || c.Why != "it was tried for this request" {
		t.Errorf("%+v", c)
	}
}

// TestHistoryOfHandler: what answers in place of a member finds the decision of its request, and what it says of it is remembered.
func TestHistoryOfHandler(t *testing.T) {
	t.Parallel()
	h, err := history.New(8)
	if err != nil {
		t.Fatal(err)
	}
	f := frontOf(t, func(o *Options) {
		picker := o.Picker
		o.History, o.Picker = h, nil
		o.Route = func(*http.Request) Choice {
			return Choice{Picker: picker, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				d := history.Of(r.Context())
				k, err := picker.Pick(gate.Request{Now: 1, Seen: d.Picking(1)})
				if err != nil {
					t.Error(err)
					return
				}
				defer k.Release()
				d.Picked(k.Member().ID)
				d.Told()
				w.WriteHeader(http.StatusTemporaryRedirect)
			})}
		}
	}, "10.0.0.1:80")
	r := request(t, "GET", f.URL, nil)
	r.Header.Set("X-Request-Id", "told-1")
	if res, text := f.do(t, r); res.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("%s %q", res.Status, text)
	}
	<-f.log
	all := h.Find(decisions.Query{ID: "told-1", Last: 1}).Decisions
	if len(all) != 1 || all[0].Chosen != "m0" || all[0].Tries[0].Outcome != decisions.Told || all[0].Status != http.StatusTemporaryRedirect || all[0].Running {
		t.Errorf("%+v", all)
	}
	if history.Of(t.Context()) != nil {
		t.Error("a context without a decision has one")
	}
}
