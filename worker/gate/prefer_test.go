package gate

import (
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestPrefer: in every way a request goes to the member that it prefers, unless that one is full, was tried, has refused, or may get
// none; then it goes to another.
func TestPrefer(t *testing.T) {
	for _, way := range Ways {
		p := picker(t, optionsOf(way), table(4, reports(idle), func(i int, m *members.Member) {
			m.MaxInFlight = 1
			m.State = []members.State{members.Ready, members.Ready, members.Draining, members.Down}[i]
		}))
		pick := func(r Request) string {
			r.Now, r.Key = second, "k"
			k := mustPick(t, p, r)
			defer k.Release()
			return k.Member().ID
		}
		for _, id := range []string{"m0", "m1"} {
			if got := pick(Request{Prefer: id}); got != id {
				t.Errorf("%s: %s is preferred, and %s was picked", way, id, got)
			}
		}
		for _, id := range []string{"m2", "m3", "gone"} {
			if got := pick(Request{Prefer: id}); got == id {
				t.Errorf("%s: %s was picked", way, id)
			}
		}
		if got := pick(Request{Prefer: "m2", Draining: true}); got != "m2" {
			t.Errorf("%s: %s was picked for a member that drains", way, got)
		}
		if got := pick(Request{Prefer: "m3", Draining: true}); got == "m3" {
			t.Errorf("%s: a member that is down was picked", way)
		}
		first := mustPick(t, p, Request{Now: second, Prefer: "m0"})
		if got := pick(Request{Prefer: "m0"}); got != "m1" {
			t.Errorf("%s: %s was picked for a member that is full", way, got)
		}
		if got := p.Standing("m0"); got != (Standing{members.Ready, true}) {
			t.Errorf("%s: %+v", way, got)
		}
		first.Done(second, Refused)
		if got := pick(Request{Prefer: "m0"}); got != "m1" {
			t.Errorf("%s: %s was picked for a member that has refused", way, got)
		}
		if got := pick(Request{Prefer: "m1", Tried: []Pick{first}}); got != "m1" {
			t.Errorf("%s: %s was picked", way, got)
		}
	}
	p := picker(t, Options{Way: Least}, table(2))
	if got := p.Standing("gone"); got != (Standing{}) {
		t.Errorf("%+v", got)
	}
	if n := testing.AllocsPerRun(100, func() { mustPick(t, p, Request{Prefer: "m1", Now: second}).Release() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPreferAside: a member that is aside gets the requests that prefer it, and no other; one that is down gets none.
func TestPreferAside(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: First}, table(3, func(i int, m *members.Member) {
		switch i {
		case 0:
			m.Aside = "it is left out"
		case 2:
			m.State = members.Down
		}
	}))
	for prefer, want := range map[string]string{"": "m1", "m0": "m0", "m2": "m1"} {
		if got := mustPick(t, p, Request{Now: second, Prefer: prefer}).Member().ID; got != want {
			t.Errorf("%q: %s, want %s", prefer, got, want)
		}
	}
	if all := p.Explain(second); all[0].Picks || all[0].Text != "it is left out" {
		t.Errorf("%+v", all)
	}
}
