package gate

import (
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestStays: those who stay at a member count until the next report, with those that were sent there since; its max_in_flight bounds
// both; and a member that does not report them is not preferred.
func TestStays(t *testing.T) {
	t.Parallel()
	users := []float64{3, 0, 1, -1} // the last does not report
	stats := func(sequence uint64) []func(int, *members.Member) {
		return []func(int, *members.Member){reports(func(i int) map[members.Stat]members.Value {
			if users[i] < 0 {
				return map[members.Stat]members.Value{"cpu": 1}
			}
			return map[members.Stat]members.Value{members.Connections: users[i]}
		}), func(_ int, m *members.Member) { m.MaxInFlight, m.Report.Sequence = 3, sequence }}
	}
	p := picker(t, Options{Way: Least, Stays: members.Connections}, table(4, stats(1)...))
	now := second + 10*second // reports do not fade
	p.Refresh(now)
	pick := func() Pick { return mustPick(t, p, Request{Now: now}) }
	var held []Pick
	counts := map[string]int{}
	for range 5 { // to m1 and m2 until both have three
		k := pick()
		held = append(held, k)
		counts[k.Member().ID]++
	}
	if counts["m1"] != 3 || counts["m2"] != 2 {
		t.Errorf("%v", counts)
	}
	if got := pick().Member().ID; got != "m3" {
		t.Errorf("%s is picked, and all but m3, which is unknown, are full", got)
	}
	if _, err := p.Pick(Request{Now: now}); err != ErrFull {
		t.Errorf("%v: m3 has the one that it gets at a time", err)
	}
	users = []float64{0, 3, 3, -1}
	p.Update(table(4, stats(2)...), now)
	for _, k := range held { // they show
		k.Release()
	}
	for range 3 {
		if got := pick().Member().ID; got != "m0" {
			t.Errorf("%s is picked, and m0 has room", got)
		}
	}
	if _, err := p.Pick(Request{Now: now}); err != ErrFull {
		t.Errorf("%v", err)
	}
}
