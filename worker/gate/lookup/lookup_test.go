package lookup

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/pending"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
)

// pinus is the table of the document: three connectors, which are frontends, and three chat servers.
func pinus(n int) (t members.Table) {
	for i := range n {
		t.Members = append(t.Members, members.Member{
			ID: fmt.Sprint("connector-server-", i+1), Type: "connector", Address: fmt.Sprint("127.0.0.1:", 4050+i), ClientAddress: fmt.Sprint("127.0.0.1:", 3050+i),
			Frontend: true, Weight: 1, State: members.Ready,
		}, members.Member{ID: fmt.Sprint("chat-server-", i+1), Type: "chat", Address: fmt.Sprint("127.0.0.1:", 6050+i), Weight: 1, State: members.Ready})
	}
	return t
}

func newLookup(t *testing.T, signed bool, table members.Table) (*Lookup, *route.Pools) {
	t.Helper()
	p := policy.Policy{Pick: gate.CRC32Mod, Signed: signed, Deliver: policy.DeliverLookup, Routes: []policy.Route{{Path: "/v1/pick", To: "connector"}}}
	pools, err := route.NewPools(p, gate.Options{Signed: signed})
	if err != nil {
		t.Fatal(err)
	}
	pools.Update(table, 1)
	return New(Options{Pools: pools, Routed: func(kind string) bool { return kind == "chat" }, Pending: pending.New(members.Connections)}), pools
}

func (l *Lookup) ask(method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	l.Deliver(w, httptest.NewRequest(method, url, strings.NewReader(body)), proxy.Choice{Pool: "connector"})
	return w
}

// TestQueryEntry: the answers are those of the document, to the byte.
func TestQueryEntry(t *testing.T) {
	t.Parallel()
	l, _ := newLookup(t, false, pinus(3))
	for _, c := range []struct {
		method, url, body string
		status            int
		want, why         string
	}{
		{"GET", "/v1/pick?type=connector&uid=a", "", 200, `{"code":200,"host":"127.0.0.1","port":3050}`, ""},
		{"GET", "/v1/pick?uid=10001", "", 200, `{"code":200,"host":"127.0.0.1","port":3051}`, ""},
		{"GET", "/v1/pick?key=bob", "", 200, `{"code":200,"host":"127.0.0.1","port":3052}`, ""},
		{"POST", "/v1/pick", `{"type":"connector","uid":"10001"}`, 200, `{"code":200,"host":"127.0.0.1","port":3051}`, ""},
		{"POST", "/v1/pick", `{"uid":10001}`, 200, `{"code":200,"host":"127.0.0.1","port":3051}`, ""},
		{"POST", "/v1/pick?uid=a", ``, 200, `{"code":200,"host":"127.0.0.1","port":3050}`, ""},
		{"GET", "/v1/pick?type=connector", "", 200, `{"code":500}`, "the lookup has no uid"},
		{"GET", "/v1/pick?type=connector&uid=&strict=1", "", 503, `{"code":500}`, "the lookup has no uid"},
		{"POST", "/v1/pick", `{"strict":true}`, 503, `{"code":500}`, "the lookup has no uid"},
		{"POST", "/v1/pick", `[`, 200, `{"code":500}`, "cannot read the lookup: it is not a JSON object"},
		{"POST", "/v1/pick?strict=1", strings.Repeat(" ", mostQuestion+1), 503, `{"code":500}`, "cannot read the lookup: the body is longer than is looked at"},
		{"GET", "/v1/pick?type=chat&uid=a", "", 200, `{"code":500}`, "can not find chat servers."}, // they are no frontends
		{"GET", "/v1/pick?type=game&uid=a&strict=1", "", 503, `{"code":500}`, "can not find server info for type:game"},
	} {
		w := l.ask(c.method, c.url, c.body)
		if w.Code != c.status || w.Body.String() != c.want || w.Header().Get("Tine-Why") != c.why || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s %.40s: %d %s %q, want %d %s %q", c.method, c.url, c.body, w.Code, w.Body, w.Header().Get("Tine-Why"), c.status, c.want, c.why)
		}
	}
	if got := l.options.Pending.Held("connector-server-2"); got != 3 {
		t.Errorf("%d clients are on their way to the second", got)
	}
}

// TestGolden: a key has the connector that it has with the npm packages.
func TestGolden(t *testing.T) {
	t.Parallel()
	signed, _ := newLookup(t, true, pinus(3))
	unsigned, _ := newLookup(t, false, pinus(3))
	for _, c := range []struct {
		key              string
		signed, unsigned int
	}{
		{"a", 1, 0}, {"uid", 1, 1}, {"room1", 2, 2}, {"1", 2, 2}, {"10001", 1, 1}, {"10002", 2, 2}, {"bob", 2, 2}, {"用户", 1, 1}, {"é", 2, 2}, {"😀", 1, 1},
	} {
		for l, want := range map[*Lookup]int{signed: c.signed, unsigned: c.unsigned} {
			body := fmt.Sprintf(`{"uid":%q}`, c.key)
			if got := l.ask("POST", "/v1/pick", body).Body.String(); got != fmt.Sprintf(`{"code":200,"host":"127.0.0.1","port":%d}`, 3050+want) {
				t.Errorf("%s: %s, want %d", c.key, got, want)
			}
			if m, err := l.Member("chat", c.key); err != nil || m.ID != fmt.Sprint("chat-server-", want+1) {
				t.Errorf("%s: %s, %v", c.key, m.ID, err)
			}
		}
	}
}

// TestDown: the keys of a server that is down go to the next in the list, and all others stay.
func TestDown(t *testing.T) {
	t.Parallel()
	l, pools := newLookup(t, false, pinus(3))
	before := map[string]string{}
	for i := range 300 {
		before[fmt.Sprint(i)] = l.ask("GET", fmt.Sprint("/?uid=", i), "").Body.String()
	}
	table := pinus(3)
	table.Members[2].State = members.Down // the second connector
	pools.Update(table, ipc.Monotonic())
	for uid, was := range before {
		want := strings.Replace(was, "3051", "3052", 1)
		if got := l.ask("GET", "/?uid="+uid, "").Body.String(); got != want {
			t.Errorf("%s: %s, then %s", uid, was, got)
		}
	}
	one, _ := newLookup(t, false, pinus(1))
	for i := range 20 {
		if got := one.ask("GET", fmt.Sprint("/?uid=", i), "").Body.String(); got != `{"code":200,"host":"127.0.0.1","port":3050}` {
			t.Errorf("one connector alone: %s", got)
		}
	}
}

// TestMember: a program asks for the server of a room, which is the same by every gateway, and gets errors that it can tell apart.
func TestMember(t *testing.T) {
	t.Parallel()
	l, pools := newLookup(t, false, pinus(3))
	a, err := l.Member("chat", "room1")
	b, err2 := l.Member("chat", "room1")
	if err != nil || err2 != nil || a.ID != "chat-server-3" || b.ID != a.ID || a.Address != "127.0.0.1:6052" {
		t.Errorf("%+v %+v %v", a, b, err)
	}
	if _, err := l.Member("chat", ""); err != nil { // as the default route has it, where there is no uid
		t.Error(err)
	}
	pools.Update(members.Table{Members: []members.Member{{ID: "c", Type: "chat", Address: "h:1", Weight: 1, State: members.Down}}}, ipc.Monotonic())
	for kind, want := range map[string]string{"chat": "can not find chat servers.", "game": "can not find server info for type:game"} {
		_, err := l.Member(kind, "room1")
		none := (*NoServersError)(nil)
		if !errors.As(err, &none) || err.Error() != want || none.Type != kind || errors.Is(err, gate.ErrNoMember) != (kind == "chat") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
