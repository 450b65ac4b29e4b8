package gate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// table is n members of weight 1, which are ready.
func table(n int, change ...func(i int, m *members.Member)) members.Table {
	var t members.Table
	for i := range n {
		m := members.Member{ID: fmt.Sprintf("m%d", i), Address: fmt.Sprintf("10.0.0.%d:80", i), Weight: 1, State: members.Ready}
		for _, c := range change {
			c(i, &m)
		}
		t.Members = append(t.Members, m)
	}
	return t
}

func picker(t testing.TB, o Options, table members.Table) *Picker {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.Update(table, second)
	return p
}

const second = int64(time.Second)

// reports gives each member a report with the statistics that f says.
func reports(f func(i int) map[members.Stat]members.Value) func(int, *members.Member) {
	return func(i int, m *members.Member) {
		if stats := f(i); stats != nil {
			m.Report = &members.Report{Epoch: 1, Sequence: 1, Stats: stats}
		}
	}
}

func weights(all ...float64) func(int, *members.Member) {
	return func(i int, m *members.Member) { m.Weight = all[i] }
}

func mustPick(t testing.TB, p *Picker, r Request) Pick {
	t.Helper()
	k, err := p.Pick(r)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// run is a picker in virtual time: a request a millisecond, each of which takes what its member takes.
type run struct {
	*Picker
	now  int64
	open []ending
}

type ending struct {
	at  int64
	k   Pick
	how Outcome
}

// count has n requests come, and counts by member.
func (r *run) count(t testing.TB, n int, takes func(id string) (time.Duration, Outcome)) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for i := range n {
		r.now += int64(time.Millisecond)
		r.open = slices.DeleteFunc(r.open, func(e ending) bool {
			if e.at > r.now {
				return false
			}
			e.k.Done(e.at, e.how)
			return true
		})
		if i%100 == 0 {
			r.Refresh(r.now)
		}
		k := mustPick(t, r.Picker, Request{Key: fmt.Sprint("key", i), Now: r.now})
		took, how := takes(k.Member().ID)
		counts[k.Member().ID]++
		r.open = append(r.open, ending{r.now + int64(took), k, how})
	}
	return counts
}
