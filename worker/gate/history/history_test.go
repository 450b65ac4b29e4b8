package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

func picker(t testing.TB, n int) *gate.Picker {
	t.Helper()
	p, err := gate.New(gate.Options{Way: gate.ByScore, Score: gate.Score{Multipliers: map[members.Stat]float64{members.QueueWait: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	var all members.Table
	now := ipc.Monotonic()
	for i := range n {
		all.Members = append(all.Members, members.Member{
			ID: fmt.Sprint("m", i), Address: fmt.Sprintf("10.0.0.%d:80", i), Weight: 1, State: members.Ready, MaxInFlight: 1,
			Report: &members.Report{Epoch: 1, Sequence: 1, ReceivedAt: now, Stats: map[members.Stat]members.Value{members.QueueWait: float64(i)}},
		})
	}
	p.Update(all, now)
	return p
}

func history(t testing.TB, n int) *History {
	t.Helper()
	h, err := New(n)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve has one request go through p, to two members if the first fails.
func serve(p *gate.Picker, h *History, id string, fail error) error {
	d := h.Begin(id)
	var tried []gate.Pick
	var last error
	for {
		now := ipc.Monotonic()
		k, err := p.Pick(gate.Request{Now: now, Tried: tried, Seen: d.Picking(now)})
		if err != nil {
			d.End(503, err)
			return err
		}
		d.Picked(k.Member().ID)
		if last == nil && fail != nil {
			last = fail
			tried = append(tried, k)
			d.Tried(gate.Refused, last)
			k.Release()
			continue
		}
		d.Tried(gate.Answered, nil)
		k.Release()
		d.End(200, nil)
		return nil
	}
}

// TestHistory: of the last n requests there is what was known of each member, which one was picked, the tries and the end; older ones
// are gone.
func TestHistory(t *testing.T) {
	t.Parallel()
	p, h := picker(t, 3), history(t, 4)
	for i := range 6 {
		var fail error
		if i == 5 {
			fail = errors.New("connection refused")
		}
		if err := serve(p, h, fmt.Sprint("r", i), fail); err != nil {
			t.Fatal(err)
		}
	}
	if a := h.Find(decisions.Query{ID: "r1", Last: 10}); len(a.Decisions) != 0 || a.Kept != 4 {
		t.Errorf("%+v: a request that four others have followed is remembered", a)
	}
	all := h.Find(decisions.Query{Last: 10}).Decisions
	if len(all) != 4 || all[0].ID != "r5" || all[3].ID != "r2" {
		t.Fatalf("%+v", all)
	}
	if got := h.Find(decisions.Query{Last: 2}).Decisions; len(got) != 2 || got[1].ID != "r4" {
		t.Errorf("the last two are %+v", got)
	}
	d := all[0]
	if d.Running || d.Status != 200 || d.Picks != 2 || len(d.Tries) != 2 || d.Chosen != d.Tries[1].Member || d.Way != gate.ByScore || d.Members != 3 || d.Ready != 3 {
		t.Errorf("%+v", d)
	}
	if first := d.Tries[0]; first.Outcome != decisions.Refused || first.Why != "connection refused" || d.Tries[1].Outcome != decisions.Answered {
		t.Errorf("%+v", d.Tries)
	}
	for i, c := range d.Candidates {
		if c.ID != fmt.Sprint("m", i) || c.Stats[members.QueueWait] != float64(i) || c.Score != float64(i)/2 || c.Cost <= 0 || c.ReportAgeMS < 0 {
			t.Errorf("%+v", c)
		}
		if tried := c.ID == d.Tries[0].Member; tried == c.Picks || tried && c.Why != "it was tried for this request" {
			t.Errorf("%+v", c)
		}
	}
	if b, err := json.Marshal(d); err != nil || !strings.Contains(string(b), `"queued_ms":`) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestHistoryRunning: a request that waits, or is at a member, is there with what is known of it so far.
func TestHistoryRunning(t *testing.T) {
	t.Parallel()
	p, h := picker(t, 1), history(t, 4)
	d := h.Begin("slow")
	now := ipc.Monotonic()
	k, err := p.Pick(gate.Request{Now: now, Seen: d.Picking(now)})
	if err != nil {
		t.Fatal(err)
	}
	d.Picked(k.Member().ID)
	got := h.Find(decisions.Query{ID: "slow", Last: 1}).Decisions
	if len(got) != 1 || !got[0].Running || got[0].Chosen != "m0" || got[0].Tries[0].Outcome != decisions.Sent || got[0].Status != 0 {
		t.Errorf("%+v", got)
	}
	if err := serve(p, h, "full", nil); !errors.Is(err, gate.ErrFull) {
		t.Fatal(err)
	}
	got = h.Find(decisions.Query{ID: "full", Last: 1}).Decisions
	if len(got) != 1 || got[0].Chosen != "" || got[0].Status != 503 || got[0].Error != gate.ErrFull.Error() || got[0].Candidates[0].Picks ||
		got[0].Candidates[0].Why != "full: 1 of 1 requests in flight" {
		t.Errorf("%+v", got)
	}
	// What was overtaken by as many as are remembered does not come back.
	for i := range 4 {
		h.Begin(fmt.Sprint("later", i)).End(400, nil)
	}
	d.Tried(gate.Answered, nil)
	d.End(200, nil)
	if got := h.Find(decisions.Query{ID: "slow", Last: 1}).Decisions; len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestHistoryMoved: a request that is moved to another member without a pick of its own has not waited for that one.
func TestHistoryMoved(t *testing.T) {
	t.Parallel()
	h := history(t, 1)
	d := h.Begin("moved")
	for _, m := range []string{"a", "b", "c", "d", "e", "f"} {
		d.Picked(m)
		d.Tried(gate.Cancelled, nil)
	}
	d.End(200, nil)
	got := h.Find(decisions.Query{ID: "moved", Last: 1}).Decisions[0]
	if got.QueuedMS != 0 || got.Picks != 6 || len(got.Tries) != keptTries || got.Tries[2].Member != "c" || got.Tries[3].Member != "f" || got.Tries[0].Outcome != decisions.Cancelled {
		t.Errorf("%+v", got)
	}
}

// TestHistoryOff: without a history nothing is kept, and nothing is allocated.
func TestHistoryOff(t *testing.T) {
	h := history(t, 0)
	if h != nil {
		t.Fatal("there is a history of no request")
	}
	p := picker(t, 3)
	if n := testing.AllocsPerRun(100, func() {
		if err := serve(p, h, "id", nil); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a request without a history allocates %v times", n)
	}
	if a := h.Find(decisions.Query{Last: 10}); a.Kept != 0 || a.Decisions == nil || len(a.Decisions) > 0 {
		t.Errorf("%+v", a)
	}
	for _, n := range []int{-1, Most + 1} {
		if _, err := New(n); err == nil {
			t.Errorf("a history of %d requests", n)
		}
	}
}

// TestHistoryCost: a request that goes well allocates nothing, and a record has the size that the package's page says.
func TestHistoryCost(t *testing.T) {
	p, h := picker(t, 3), history(t, 8)
	if n := testing.AllocsPerRun(1000, func() {
		if err := serve(p, h, "id", nil); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a request allocates %v times", n)
	}
	if RecordSize >= 3<<10 {
		t.Errorf("a record has %d bytes", RecordSize)
	}
	t.Logf("a record has %d bytes", RecordSize)
}

// TestHistoryTogether: requests and readers at the same time see whole records.
func TestHistoryTogether(t *testing.T) {
	t.Parallel()
	p, h := picker(t, 8), history(t, 4)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				_ = serve(p, h, fmt.Sprint(i, ".", j), nil)
			}
		})
	}
	wg.Go(func() {
		for range 200 {
			for _, d := range h.Find(decisions.Query{Last: 10}).Decisions {
				if !d.Running && d.Status == 200 && (d.Chosen == "" || d.Tries[0].Member != d.Chosen) {
					t.Errorf("%+v", d)
				}
			}
		}
	})
	wg.Wait()
}

func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{0, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, h := picker(b, 4), history(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if err := serve(p, h, "id", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
