package pending

import (
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

// TestLedger: a pick is held until a report shows one more client, for Longest, or until the member is gone.
func TestLedger(t *testing.T) {
	t.Parallel()
	table := func(sequence uint64, users ...float64) (t members.Table) {
		for i, n := range users {
			m := members.Member{ID: string(rune('a' + i)), Address: "h:1", Weight: 1, State: members.Ready}
			if n >= 0 {
				m.Report = &members.Report{Epoch: 1, Sequence: sequence, Stats: map[members.Stat]members.Value{members.Connections: n}}
			}
			t.Members = append(t.Members, m)
		}
		return t
	}
	p, err := gate.New(gate.Options{Way: gate.Least, Stays: members.Connections})
	if err != nil {
		t.Fatal(err)
	}
	l := New(members.Connections)
	now := int64(1)
	update := func(t members.Table) { p.Update(t, now); l.Update(t, now) }
	add := func(id string) {
		t.Helper()
		k, err := p.Pick(gate.Request{Now: now, Prefer: id})
		if err != nil || k.Member().ID != id {
			t.Fatal(err)
		}
		l.Add(k, now)
	}
	holds := func(what string, a, b int) {
		t.Helper()
		if l.Held("a") != a || l.Held("b") != b {
			t.Errorf("%s: %d and %d are held, want %d and %d", what, l.Held("a"), l.Held("b"), a, b)
		}
	}
	update(table(1, 5, -1))
	for range 3 {
		add("a")
	}
	add("b")
	update(table(1, 7, -1))
	holds("the same report", 3, 1)
	update(table(2, 4, -1))
	holds("clients have left", 3, 1)
	update(table(3, 6, -1))
	holds("two have come", 1, 1)
	now += int64(Longest) - 1
	add("b")
	l.Refresh(now)
	holds("just before the time is over", 1, 2)
	now++
	l.Refresh(now)
	holds("the time is over", 0, 1)
	update(table(4, 6))
	holds("the member is gone", 0, 0)
	if got := p.Explain(now); len(got) != 1 || got[0].Text != "ready; 6 in flight" {
		t.Errorf("%+v", got)
	}
	add("a")
	for range Most {
		add("a")
	}
	holds("the bound", Most, 0)
}
