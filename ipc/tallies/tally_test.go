package tallies

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
)

func queue(waits ...int64) *Queue {
	q := &Queue{State: "calm", Admitted: uint64(len(waits))}
	for _, w := range waits {
		q.Waits[ipc.Bucket(w)]++
	}
	return q
}

// TestSum: counts are sums, what a member has of all gateways is no sum, and a member that some workers do not pick says so.
func TestSum(t *testing.T) {
	t.Parallel()
	a := Tally{
		Version: 1, Listed: 2, Ready: 2, Requests: Requests{Answered: [5]uint64{1: 5, 4: 1}, Tries: 7, Resent: 1},
		Pools: []Pool{{Type: "web", Way: "least", Members: 2, Ready: 2, Queue: queue(1e6, 1e6)}, {Way: "p2c"}},
		Members: []Member{
			{ID: "a", State: members.Ready, Weight: 1, InFlight: 2, Picks: 4, PicksSecond: 3, LatencyMS: 10, Picked: true, Why: "ready"},
			{ID: "l", State: members.Ready, Weight: 1, Local: true, InFlight: 3, Picks: 3, Picked: true, Why: "ready", ReportAgeMS: 50},
		},
	}
	b := Tally{
		Version: 1, Listed: 3, Ready: 2, Requests: Requests{Answered: [5]uint64{1: 2}, Tries: 2, Gone: 1, Failed: 1, Withdrawn: 1},
		Pools: []Pool{{Type: "web", Way: "least", Members: 3, Ready: 2, Queue: &Queue{State: "held", Waiting: 4, Full: 2, Deadline: 1}}},
		Members: []Member{
			{ID: "a", State: members.Ready, Weight: 1, InFlight: 1, Picks: 2, Failed: 2, PicksSecond: 1, LatencyMS: 50, Why: "it has refused 2 connections; for 80ms"},
			{ID: "l", State: members.Ready, Weight: 1, Local: true, InFlight: 4, Picks: 1, Picked: true, Why: "ready", ReportAgeMS: 20},
			{ID: "n", State: members.Down, Why: "down: refused"},
		},
	}
	s := Sum([]Tally{a, b})
	if s.Listed != 3 || s.Ready != 2 || s.Requests.Answered[1] != 7 || s.Requests.Tries != 9 || s.Requests.Gone != 1 || s.Requests.Withdrawn != 1 {
		t.Errorf("%+v", s)
	}
	if q := s.Pools[1].Queue; s.Pools[0].Type != "" || q.State != "held" || q.Waiting != 4 || q.Admitted != 2 || q.Shed() != 3 || q.WaitP50MS < 0.8 || q.WaitP50MS > 1.2 {
		t.Errorf("%+v", s.Pools)
	}
	if m := s.Members[0]; m.ID != "a" || m.InFlight != 3 || m.Picks != 6 || m.Failed != 2 || m.PicksSecond != 4 || m.LatencyMS < 19.9 || m.LatencyMS > 20.1 ||
		!m.Picked || m.Why != "not by 1 of 2 workers: it has refused 2 connections; for 80ms" {
		t.Errorf("%+v", m)
	}
	if m := s.Members[1]; m.ID != "l" || m.InFlight != 4 || m.Picks != 4 || m.ReportAgeMS != 20 || m.Why != "ready" {
		t.Errorf("%+v", m)
	}
	if m := s.Members[2]; m.ID != "n" || m.Picked || m.Why != "down: refused" {
		t.Errorf("%+v", m)
	}
	if a.Members[0].Picks != 4 || a.Pools[0].Queue.Admitted != 2 {
		t.Errorf("the sum has changed a part: %+v", a)
	}

	gone := Tally{Version: 1, Requests: Requests{Answered: [5]uint64{1: 10}}, Pools: []Pool{{Type: "web", Queue: &Queue{State: "held", Waiting: 9, Full: 5}}},
		Members: []Member{{ID: "a", Picks: 100, Failed: 1, InFlight: 7}, {ID: "left", Picks: 9}}}
	s.Continue(&gone)
	if m := s.Members[0]; s.Requests.Answered[1] != 17 || m.Picks != 106 || m.Failed != 3 || m.InFlight != 3 || len(s.Members) != 3 || s.Pools[1].Queue.Full != 7 || s.Pools[1].Queue.Waiting != 4 {
		t.Errorf("%+v", s)
	}
}

// TestSumIsBounded: members beyond the bound are summed.
func TestSumIsBounded(t *testing.T) {
	t.Parallel()
	var all []Tally
	for w := range 3 {
		one := Tally{Version: 1, Listed: MostMembers}
		for i := range MostMembers {
			one.Members = append(one.Members, Member{ID: fmt.Sprint(w, "-", i), State: members.Ready, Weight: 1, Picks: 2})
		}
		all = append(all, one)
	}
	s := Sum(all)
	if len(s.Members) != MostMembers || s.Rest == nil || s.Rest.Members != 2*MostMembers || s.Rest.Picks != 4*MostMembers || s.Rest.Ready != 2*MostMembers {
		t.Errorf("%d members, %+v", len(s.Members), s.Rest)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	many := Tally{Version: 1, Members: make([]Member, MostMembers+1)}
	for i := range many.Members {
		many.Members[i].ID = fmt.Sprint(i)
	}
	long := strings.Repeat("x", 5*MostText)
	for want, tally := range map[string]Tally{
		"":                        {Version: 1, Members: []Member{{ID: "a"}}},
		"version 2":               {Version: 2},
		"version 0":               {},
		"1001 members":            many,
		`member "a" is there`:     {Version: 1, Members: []Member{{ID: "a"}, {ID: "a"}}},
		`member "b" is there`:     {Version: 1, Members: []Member{{ID: "b", Why: long}}},
		`of member "c" is out`:    {Version: 1, Members: []Member{{ID: "c", LatencyMS: 1e300}}},
		"picks a second are out":  {Version: 1, Rest: &Rest{PicksSecond: -1}},
		`pool "p" has`:            {Version: 1, Pools: []Pool{{Type: "p", Way: long}}},
		`pool "q" has too long a`: {Version: 1, Pools: []Pool{{Type: "q", Queue: &Queue{State: long}}}},
	} {
		b, err := json.Marshal(tally)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzDecode: whatever a worker says, it is refused or can be summed, told and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"pools":[{"type":"a","queue":{"state":"held"}}],"members":[{"id":"a","picks":1}],"rest":{"members":2}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tally, err := Decode(b)
		if err != nil {
			return
		}
		s := Sum([]Tally{tally, tally})
		s.Continue(&tally)
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}
