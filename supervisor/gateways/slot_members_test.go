package gateways

import (
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// slotOf is a slot with workers that have IDs from first on.
func slotOf(number int, first pool.WorkerID, states ...pool.State) pool.SlotStatus {
	s := pool.SlotStatus{Slot: number}
	for i, state := range states {
		s.Workers = append(s.Workers, pool.WorkerStatus{ID: first + pool.WorkerID(i), State: state})
	}
	return s
}

// appOf is an app whose workers with those IDs serve their inner sockets.
func appOf(slots []pool.SlotStatus, serve ...pool.WorkerID) *snapshot.App {
	a := &snapshot.App{Name: "web", Inner: "/run/tine/x.inner/web.", MaxInFlight: 3, Pool: pool.Status{Slots: slots}}
	for _, id := range serve {
		a.Workers = append(a.Workers, snapshot.Worker{ID: id, Inner: true})
	}
	return a
}

func TestSlotMembers(t *testing.T) {
	stalled := slotOf(0, 1, pool.StateReady)
	stalled.Workers[0].Stalled = "stopped by a signal"
	retiring := slotOf(0, 1, pool.StateReady)
	retiring.Retiring = true
	backoff := pool.SlotStatus{State: pool.SlotBackoff, Failures: 2}
	for _, c := range []struct {
		what  string
		slot  pool.SlotStatus
		serve []pool.WorkerID
		state members.State
		why   string
	}{
		{"ready", slotOf(0, 1, pool.StateReady), []pool.WorkerID{1}, members.Ready, ""},
		{"in a surge", slotOf(0, 1, pool.StateReady, pool.StateStarting), []pool.WorkerID{1}, members.Ready, ""},
		{"after one", slotOf(0, 1, pool.StateDraining, pool.StateReady), []pool.WorkerID{2}, members.Ready, ""},
		{"starting", slotOf(0, 1, pool.StateStarting), nil, members.Starting, "its worker is not ready yet"},
		{"draining", slotOf(0, 1, pool.StateDraining), []pool.WorkerID{1}, members.Draining, "its worker finishes what it has, and the next one is not ready yet"},
		{"scaled down", retiring, []pool.WorkerID{1}, members.Draining, "the slot is being closed: the app is scaled down"},
		{"stalled", stalled, []pool.WorkerID{1}, members.Down, "its worker stands still: stopped by a signal"},
		{"held", pool.SlotStatus{Held: "drained by hand"}, nil, members.Down, "it is held: drained by hand"},
		{"finished", pool.SlotStatus{Finished: true}, nil, members.Down, "its worker has finished"},
		{"backing off", backoff, nil, members.Down, "2 workers in a row have failed; the next one is started in a moment"},
		{"vacant", pool.SlotStatus{}, nil, members.Down, "it has no worker"},
		{"not served", slotOf(0, 1, pool.StateReady), nil, members.Down,
			"its worker does not serve its inner socket: give the app an address, or have it serve HTTP by package worker"},
	} {
		all, ok := slotMembers(appOf([]pool.SlotStatus{c.slot}, c.serve...))
		want := members.Member{
			ID: "web/0", Type: "web", Address: "/run/tine/x.inner/web.0.sock", Weight: 1, MaxInFlight: 3, State: c.state, Why: c.why,
		}
		if !ok || len(all) != 1 || all[0] != want {
			t.Errorf("%s: %t, %+v", c.what, ok, all)
		} else if err := all[0].Check(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	leaving := appOf([]pool.SlotStatus{slotOf(0, 1, pool.StateReady)}, 1)
	leaving.Leaving = true
	if all, ok := slotMembers(leaving); !ok || all[0].State != members.Draining {
		t.Errorf("of an app that is stopped: %+v", all)
	}
}

// An app with addresses is members by slot only if each worker that is ready serves its inner socket. Those that start do not count.
func TestSlotMembersOrOne(t *testing.T) {
	slots := []pool.SlotStatus{slotOf(0, 1, pool.StateReady), slotOf(1, 2, pool.StateReady), slotOf(2, 3, pool.StateStarting)}
	for _, c := range []struct {
		serve   []pool.WorkerID
		listens bool
		ok      bool
	}{
		{[]pool.WorkerID{1, 2}, true, true},
		{[]pool.WorkerID{1}, true, false},
		{nil, true, false},
		{[]pool.WorkerID{1}, false, true},
	} {
		a := appOf(slots, c.serve...)
		a.Listens = c.listens
		if all, ok := slotMembers(a); ok != c.ok || ok && len(all) != 3 {
			t.Errorf("%+v: %t, %+v", c, ok, all)
		}
	}
	a := appOf(slots, 1, 2)
	a.Inner = ""
	if _, ok := slotMembers(a); ok {
		t.Error("an app without inner sockets has members by slot")
	}
}
