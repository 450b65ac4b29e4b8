package pool

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// someRecord is of two slots, each with one that serves; one of them is being replaced in a rollout, and another rollout is
// queued. A standby was assigned, and another is ordered.
func someRecord(t testing.TB) Saved {
	t.Helper()
	cfg := Default()
	cfg.Workers, cfg.Standby, cfg.Strict = 2, 1, true
	p, now := New(cfg), time.Unix(0, 0)
	for _, ev := range []Event{
		Start{}, Spawned{1, 101}, Spawned{2, 102}, Ready{1}, Ready{2}, Spawned{3, 103}, Parked{3},
		Stalled{1, "queue"}, Exited{ID: 2, Code: 1, Signal: 0}, Ready{3}, Roll{Reason: "USR2"}, Spawned{5, 105}, Recycle{1, "over memory", true}, Roll{Reason: "again"},
	} {
		now = now.Add(time.Second)
		p.Step(now, ev)
	}
	saved := p.Snapshot(now)
	if saved.Rollout == nil || len(saved.Slots[0].Workers) != 2 || len(saved.Standbys.Workers) != 1 {
		t.Fatalf("not the record that the tests need: %+v", saved)
	}
	return saved
}

// TestGoldenRecord: a record that an older program has written says the same for ever. A file is never changed: another version
// of the format gets another one.
func TestGoldenRecord(t *testing.T) {
	text, err := os.ReadFile("testdata/saved_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden Saved
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	p, err := Restore(Default(), golden, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again := p.Snapshot(now); !reflect.DeepEqual(again, golden) {
		t.Errorf("the record has\n%+v\nand what is made of it\n%+v", golden, again)
	}
	var program any
	if err := json.Unmarshal(text, &program); err != nil {
		t.Fatal(err)
	}
	program.(map[string]any)["of_a_newer_program"] = true
	if text, err = json.Marshal(program); err != nil {
		t.Fatal(err)
	}
	var newer Saved
	if err := json.Unmarshal(text, &newer); err != nil {
		t.Errorf("a field that may be left out is not: %v", err)
	}
}

// TestSnapshotSharesNothing: neither the pool nor another restored from the same record sees what is done to one.
func TestSnapshotSharesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	saved := someRecord(t)
	before, _ := json.Marshal(saved)
	p, err := Restore(Default(), saved, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Step(now, Restored{})
	p.Step(now, Kill{})
	if after, _ := json.Marshal(saved); string(after) != string(before) {
		t.Errorf("the record was\n%s\nand is\n%s", before, after)
	}
}

// TestNextID: IDs go on where they were, or where the caller knows that they must.
func TestNextID(t *testing.T) {
	for _, c := range []struct{ first, want WorkerID }{{0, 6}, {5, 6}, {100, 100}} {
		cfg := Default()
		cfg.FirstID = c.first
		p, err := Restore(cfg, someRecord(t), time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Step(time.Now(), Restored{}) {
			if e, ok := e.(Spawn); ok && e.ID < c.want {
				t.Errorf("first ID %d: %+v, wanted %d at least", c.first, e, c.want)
			}
		}
	}
}

// TestRestoreRefuses: what contradicts itself is an error that says what.
func TestRestoreRefuses(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Saved)
	}{
		{"the record has version 2, and the newest known here is 1", func(s *Saved) { s.Version = 2 }},
		{"no version", func(s *Saved) { *s = Saved{} }},
		{`no such phase: "asleep"`, func(s *Saved) { s.Phase = "asleep" }},
		{"-1 slots are wanted", func(s *Saved) { s.Want = -1 }},
		{"1025 slots are open", func(s *Saved) { s.Slots = make([]SavedSlot, 1025) }},
		{"3 of 2 slots were wanted", func(s *Saved) { s.Claimed = 3 }},
		{"1 slots were wanted, and 2 are", func(s *Saved) { s.Claimed = 1 }},
		{"worker IDs go from 0", func(s *Saved) { s.FirstID = 0 }},
		{"worker 1 of 1 to 1", func(s *Saved) { s.NextID = 1 }},
		{"generation 2 of 1", func(s *Saved) { s.Generation, s.Newest = 2, 1 }},
		{"it has not started, but has", func(s *Saved) { s.Phase = "idle" }},
		{"it is done, but has workers", func(s *Saved) { s.Phase = "done" }},
		{"it stops for no reason", func(s *Saved) { s.Phase = "stopping" }},
		{"a rollout, but the phase is stopping", func(s *Saved) { s.Phase, s.Why = "stopping", "stop" }},
		{"a rollout to generation 7", func(s *Saved) { s.Rollout.Generation = 7 }},
		{"a rollout for no reason", func(s *Saved) { s.Rollout.Reason = "" }},
		{"slot 0: two workers for no reason", func(s *Saved) { s.Slots[0].Replacing = "" }},
		{"slot 0: a worker is ready, but", func(s *Saved) { s.Slots[0].Finished = true }},
		{"slot 0: -1 failures", func(s *Saved) { s.Slots[0].Failures = -1 }},
		{"slot 0: generation 9", func(s *Saved) { s.Slots[0].Generation = 9 }},
		{"slot 0: swept by 3 workers", func(s *Saved) { s.Slots[0].Sweeps = 3 }},
		{"slot 0: 3 workers", func(s *Saved) { s.Slots[0].Workers = make([]SavedWorker, 3) }},
		{"slot 0: worker 1 is standby", func(s *Saved) { w := &s.Slots[0].Workers[0]; w.State, w.WasReady = StateStandby, false }},
		{"slot 0: worker 1 sweeps, but is ready", func(s *Saved) { s.Slots[0].Workers[0].Sweeping = true }},
		{"slot 0: worker 1 is in no state", func(s *Saved) { s.Slots[0].Workers[0].State = 99 }},
		{"slot 0: worker 1 is ready, but its PID is 0", func(s *Saved) { s.Slots[0].Workers[0].PID = 0 }},
		{"slot 0: worker 1 is ready, but was ready or was not", func(s *Saved) { s.Slots[0].Workers[0].WasReady = false }},
		{"slot 0: worker 1 is ready, but was told to drain", func(s *Saved) { s.Slots[0].Workers[0].Told = &SavedDrain{} }},
		{"slot 0: worker 1 is ready, but owed signal 1", func(s *Saved) { s.Slots[0].Workers[0].Owed = 1 }},
		{"slot 0: worker 1 is sent signal 1 of 0", func(s *Saved) { s.Slots[0].Workers[0].Sent = 1 }},
		{"slot 0: worker 1 is jittered", func(s *Saved) { s.Slots[0].Workers[0].AgeShare = -7 }},
		{"or a second time", func(s *Saved) { s.Slots[1].Workers[0].ID = 1 }},
		{"no worker ever was", func(s *Saved) { s.Served = false }},
		{"standbys: they have what only a slot has", func(s *Saved) { s.Standbys.Held = "held" }},
		{"standbys: worker 4 is ready", func(s *Saved) {
			w := &s.Standbys.Workers[0]
			w.PID, w.State, w.WasReady, w.ID = 1, StateReady, true, 4
		}},
		{"worker 6 is abandoned, but ready", func(s *Saved) {
			s.NextID = 7
			s.Abandoned = []SavedWorker{{ID: 6, PID: 1, State: StateReady, WasReady: true}}
		}},
	} {
		saved := someRecord(t)
		c.change(&saved)
		p, err := Restore(Default(), saved, time.Now(), 0)
		if p != nil || err == nil || !strings.HasPrefix(err.Error(), "cannot restore the pool: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, wanted %q", err, c.want)
		}
	}
}

// TestAdoptedRefuses: a worker that is nowhere, or there twice, or has no PID, cannot be adopted.
func TestAdoptedRefuses(t *testing.T) {
	for _, found := range [][]Found{
		{{1, 101, -1}}, {{1, 101, MaxSlots}}, {{1, 101, 1 << 40}}, {{0, 101, 0}}, {{1, 0, 0}},
		{{1, 101, 0}, {1, 102, 1}}, {{1, 101, 0}, {2, 102, 0}, {3, 103, 0}}, {{1 << 63, 101, 0}},
	} {
		if _, err := Restore(Default(), Adopted(Default(), found, "x"), time.Now(), 0); err == nil {
			t.Errorf("%+v is accepted", found)
		}
	}
}

// TestCommandsWait: a command before Restored is a mistake of the shell, and does nothing.
func TestCommandsWait(t *testing.T) {
	for _, ev := range []Event{Start{}, Scale{1}, Roll{}, Hold{}, Release{}, HoldRequests{}, PassRequests{}, Reconfigure{}, Hurry{}, Stop{}, Kill{}} {
		p, err := Restore(Default(), someRecord(t), time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		effects := p.Step(time.Now(), ev)
		if len(effects) != 1 || effects[0].(Record).Kind != KindImpossible {
			t.Errorf("%#v: %+v", ev, effects)
		}
		if st := p.Status(); st.Phase != "running" || st.Wanted != 2 {
			t.Errorf("%#v: %+v", ev, st)
		}
	}
}

// BenchmarkSnapshot: 256 slots.
func BenchmarkSnapshot(b *testing.B) {
	p, now := benchPool(b, 256)
	b.ReportAllocs()
	for b.Loop() {
		p.Snapshot(now)
	}
}

// BenchmarkSnapshotJSON: the same, as it is stored.
func BenchmarkSnapshotJSON(b *testing.B) {
	p, now := benchPool(b, 256)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		text, err := json.Marshal(p.Snapshot(now))
		if err != nil {
			b.Fatal(err)
		}
		n = len(text)
	}
	b.ReportMetric(float64(n), "bytes")
}
