package gateway

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// TestKnown: what a worker tells is of the table, of the pools and of what it has counted, also over a new policy.
func TestKnown(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d := &documents{counters: map[string]*gate.Counter{}, paces: map[string]*pace{}, log: log}
	d.shared = shared{
		counters: d.counter, counts: &counts{}, delivery: newDelivery(nil, true, log), locals: &locals{}, failures: &failures{log: log}, log: log,
	}
	if err := d.adopt(policy.Policy{Version: policy.Version, Name: "gate", Pick: policy.Least}); err != nil {
		t.Fatal(err)
	}
	defer func() { d.close(); d.current().pools.Close() }()
	d.table = members.Table{Version: members.Version, Members: []members.Member{
		{ID: "a", Type: "web", Address: "h:1", Weight: 1, State: members.Ready, MaxInFlight: 1, Report: &members.Report{Epoch: 1, ReceivedAt: int64(time.Second)}},
		{ID: "b", Type: "web", Address: "h:2", Weight: 1, State: members.Ready, Why: "slow start: 10 % of its weight"},
		{ID: "c", Address: "h:3", Weight: 1, State: members.Down, Why: "refused"},
	}}
	now := int64(2 * time.Second)
	d.current().pools.Update(d.table, now)
	d.mark(now)
	picker := d.current().pools.Of("")
	for _, prefer := range []string{"a", "", ""} {
		k, err := picker.Pick(gate.Request{Now: now, Prefer: prefer})
		if err != nil {
			t.Fatal(err)
		}
		if k.Member().ID == "b" {
			k.Done(now+int64(time.Millisecond), gate.Failed)
		}
	}
	for _, a := range []proxy.Access{{Status: 200, Tries: 1}, {Status: 502, Tries: 3, Err: errors.New("refused")}, {Tries: 1}} {
		d.shared.over(a)
	}
	now += int64(2 * time.Second)
	k := d.known(now)
	if k.Listed != 3 || k.Ready != 2 || k.Requests != (tallies.Requests{Answered: [5]uint64{1: 1, 4: 1}, Gone: 1, Failed: 1, Tries: 5, Resent: 2}) {
		t.Errorf("%+v", k)
	}
	a, b, c := k.Members[0], k.Members[1], k.Members[2]
	if a.Picks+b.Picks != 3 || a.InFlight != 1 || a.Picked || !strings.HasPrefix(a.Why, "full: 1 of 1") || a.ReportAgeMS != 3000 || a.PicksSecond != float64(a.Picks)/2 {
		t.Errorf("%+v", a)
	}
	if b.Failed != b.Picks || !b.Picked || b.Why != "ready: slow start: 10 % of its weight" || c.Why != "down: refused" || c.Picked {
		t.Errorf("%+v\n%+v", b, c)
	}
	if p := k.Pools[0]; p.Type != "" || p.Way != policy.Least || p.Members != 3 || p.Ready != 2 || p.Queue == nil || p.Queue.State != "calm" {
		t.Errorf("%+v", k.Pools)
	}
	before := d.current()
	if err := d.adopt(policy.Policy{Version: policy.Version, Name: "gate", Pick: policy.P2C}); err != nil {
		t.Fatal(err)
	}
	before.pools.Close()
	if k := d.known(now); k.Members[0].Picks+k.Members[1].Picks != 3 || k.Pools[0].Way != policy.P2C || k.Requests.Tries != 5 {
		t.Errorf("after a new policy: %+v", k)
	}
}

// TestPace: picks a second are those of the last 5 to 10 s, and less than a second counts as one.
func TestPace(t *testing.T) {
	t.Parallel()
	s := int64(time.Second)
	p := newPace(0)
	if v := p.perSecond(s/10, 10); v != 10 {
		t.Error(v)
	}
	for i := range int64(120) { // ten a second for 12 s
		p.mark(i*s/10, i)
	}
	if v := p.perSecond(12*s, 120); v < 9.9 || v > 10.1 {
		t.Error(v)
	}
	for i := range int64(120) { // and none
		p.mark(12*s+i*s/10, 120)
	}
	if v := p.perSecond(24*s, 120); v != 0 {
		t.Error(v)
	}
}
