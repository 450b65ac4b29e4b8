package gateway

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
	"github.com/tinehq/tine/worker/gate/sticky"
)

// TestSecretIsShared: a user who came before the workers shared a secret keeps the member, at each worker that may know it.
func TestSecretIsShared(t *testing.T) {
	table := members.Table{Members: []members.Member{{ID: "a"}, {ID: "b"}}}
	start := func() (*delivery, *sticky.Sticky) {
		d := newDelivery(nil, true, slog.New(slog.DiscardHandler))
		s := sticky.New(sticky.Options{Policy: policy.Sticky{By: policy.StickyCookie}, Gateway: "gate",
			Standing: func(string, string) gate.Standing { return gate.Standing{State: members.Ready} }})
		s.Update(table)
		d.shareFor(s, true)
		return d, s
	}
	login := func(s *sticky.Sticky) *http.Request {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		s.Stick(r, proxy.Choice{Pool: route.All}).Marker.Mark(w.Header(), r, 200, &table.Members[1], "")
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		return r
	}
	first, a := start()
	second, b := start()
	early, other := login(a), login(b)
	first.learn(first.own) // as the first one has shared its own
	second.learn(first.own)
	for name, is := range map[string]string{
		"the one that shares":                   a.Stick(early, proxy.Choice{Pool: route.All}).Prefer,
		"another worker":                        b.Stick(early, proxy.Choice{Pool: route.All}).Prefer,
		"the worker whose secret is not shared": b.Stick(other, proxy.Choice{Pool: route.All}).Prefer,
		"a later user":                          a.Stick(login(b), proxy.Choice{Pool: route.All}).Prefer,
	} {
		if is != "b" {
			t.Errorf("%s: the user is at %q", name, is)
		}
	}
}
