package gate

import (
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestSeen: what a pick saw of each member is what it went by, and says of each that could not be picked why not.
func TestSeen(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: Least}, table(5, func(i int, m *members.Member) {
		switch i {
		case 0:
			m.State, m.Why = members.Down, "connection refused"
		case 1:
			m.Weight = 0
		case 2:
			m.MaxInFlight = 1
		case 3:
			m.Weight = 4
		}
	}))
	var k [3]Pick
	var seen Seen
	for i := range k {
		k[i] = mustPick(t, p, Request{Now: second, Seen: &seen, Tried: k[:i]})
		if got := seen.Candidates[seen.Chosen]; got.ID != k[i].Member().ID || got.InFlight != 0 {
			t.Errorf("pick %d went to %s, and was seen as %+v", i, k[i].Member().ID, got)
		}
	}
	if seen.Way != Least || seen.Members != 5 || seen.Ready != 3 || seen.N != 5 || seen.At != second {
		t.Errorf("seen %+v", seen)
	}
	if _, err := p.Pick(Request{Now: second, Seen: &seen, Tried: []Pick{k[0]}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"m0": "down: connection refused", "m1": "its weight is 0", "m2": "full: 1 of 1 requests in flight", k[0].Member().ID: "it was tried for this request"}
	for _, c := range seen.Candidates[:seen.N] {
		picks, text := c.Reason()
		if w, not := want[c.ID]; picks == not || not && text != w {
			t.Errorf("%s: %v, %q, want %q", c.ID, picks, text, w)
		}
	}
	for _, m := range []string{"m2", "m3", "m4"} {
		if c := candidateOf(t, &seen, m); c.Cost <= 0 || m == "m3" && c.Cost != float64(c.InFlight+1)/4 {
			t.Errorf("%s costs %v", m, c.Cost)
		}
	}
}

func candidateOf(t *testing.T, s *Seen, id string) Candidate {
	t.Helper()
	for _, c := range s.Candidates[:s.N] {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("%s is no candidate", id)
	return Candidate{}
}

// TestSeenNone: where none could be picked, none was, and each says why.
func TestSeenNone(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{}, table(2, func(_ int, m *members.Member) { m.State = members.Draining }))
	var seen Seen
	if _, err := p.Pick(Request{Now: second, Seen: &seen}); err == nil || seen.Chosen != -1 || seen.N != 2 {
		t.Errorf("%v, %+v", err, seen)
	}
}

// TestSeenLarge: of a large table the one that was picked is there, with others that it was compared with.
func TestSeenLarge(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		p := picker(t, optionsOf(way), table(1000, reports(idle)))
		for range 50 {
			var seen Seen
			k := mustPick(t, p, Request{Now: second, Key: "key", Seen: &seen})
			ids := map[string]bool{}
			for _, c := range seen.Candidates[:seen.N] {
				ids[c.ID] = true
			}
			if seen.N != MostCandidates || len(ids) != seen.N || seen.Chosen < 0 || seen.Candidates[seen.Chosen].ID != k.Member().ID {
				t.Fatalf("%s: %+v", way, seen)
			}
		}
	}
}

// TestSeenAllocates: what a pick saw costs no memory but the caller's.
func TestSeenAllocates(t *testing.T) {
	for _, way := range Ways {
		p, seen := picker(t, optionsOf(way), table(20, reports(idle))), new(Seen)
		if n := testing.AllocsPerRun(100, func() {
			mustPick(t, p, Request{Key: "k", Now: second, Seen: seen}).Done(second+1, Answered)
		}); n > 0 {
			t.Errorf("%s allocates %v times a pick", way, n)
		}
	}
}

// TestExplainSaysLoad: what is said of a member that may be picked has its load.
func TestExplainSaysLoad(t *testing.T) {
	t.Parallel()
	p := picker(t, Options{Way: First}, table(1))
	mustPick(t, p, Request{Now: second})
	if all := p.Explain(second); !all[0].Picks || !strings.HasPrefix(all[0].Text, "ready; 1 in flight") {
		t.Errorf("%+v", all)
	}
}
