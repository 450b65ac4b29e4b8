package pool

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// snapshots returns those of a story with the given seed.
func snapshots(seed uint64, each func(Saved)) {
	random := rand.New(rand.NewPCG(seed, 4))
	w := newWorld(byte(random.Uint32()), byte(random.Uint32())&^1)
	err := w.feed(Start{})
	for i := 0; i < 60 && err == nil && w.done == nil; i++ {
		op := byte(random.Uint32())
		if random.Uint32()&1 == 0 {
			op = []byte{0, 1, 2, 4}[op&3]
		}
		if err = w.act(op, byte(random.Uint32())); err == nil {
			each(w.pool.snapshot(w.now))
		}
	}
}

// FuzzRestore restores whatever calls itself a record and plays a story with it. What is accepted must keep all rules from
// then on, and what is not must be an error.
func FuzzRestore(f *testing.F) {
	f.Add([]byte("{}"), []byte{2, 0, 4, 0})
	f.Add([]byte(`{"version":2}`), []byte{2, 0, 4, 0})
	for seed := range uint64(6) {
		n := 0
		snapshots(seed, func(saved Saved) {
			if n++; n%20 != 0 {
				return
			}
			text, err := json.Marshal(saved)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, []byte{byte(seed * 37), 0, 4, 0, 4, 0, 7, 1, 4, 0, 12, 3, 4, 0, 5, 0, 4, 0})
		})
	}
	f.Fuzz(func(t *testing.T, text, story []byte) {
		if len(story) < 3 || len(story) > 100 || len(text) > 4000 {
			return
		}
		var saved Saved
		if json.Unmarshal(text, &saved) != nil {
			return
		}
		play := func(saved Saved) {
			if err := playRestored(saved, story); err != nil {
				text, _ := json.Marshal(saved)
				t.Fatalf("%v\nrestored from %s", err, text)
			}
		}
		play(saved)
	})
}

// playRestored plays a story with a pool that is restored from a record, if it can be.
func playRestored(saved Saved, story []byte) error {
	w := newWorld(story[0], story[1]&^1)
	ago := time.Duration(story[2]) * 300 * time.Millisecond
	now := time.Unix(0, 0)
	p, err := Restore(w.cfg, saved, now, ago)
	if err != nil || saved.Newest > 1000 || saved.Want > 64 { // the checker looks at all of them again and again
		return nil
	}
	w.checker = checkerOf(p, w.cfg, now)
	w.checker.twin, _ = Restore(w.cfg, saved, now, ago)
	w.checker.twin.focus.always = true
	before := story[2] & 3 // events while no master lived
	for i := 3; i+1 < len(story) && err == nil && w.done == nil; i += 2 {
		if before == 0 && w.restoring {
			err = w.feed(Restored{})
		}
		before--
		op := story[i]
		if w.restoring { // commands wait
			op = []byte{0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 17, 18, 19, 20}[op%14]
		}
		if err == nil && w.done == nil && (w.started || !w.restoring) {
			err = w.act(op, story[i+1])
		}
	}
	if err == nil && w.restoring {
		err = w.feed(Restored{})
	}
	if err == nil && w.done == nil && !w.started {
		err = w.feed(Start{})
	}
	if err == nil && w.done == nil {
		err = w.rest()
	}
	if err == nil && w.done == nil {
		err = w.shutdown()
	}
	return err
}

// TestMutatedRecords changes single values of real records: to others of the same kind, of other records, or to none. Most of
// that is an error; the rest is a pool that keeps the rules.
func TestMutatedRecords(t *testing.T) {
	restored, refused := 0, 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 5))
		snapshots(seed, func(saved Saved) {
			if random.IntN(6) > 0 {
				return
			}
			text, err := json.Marshal(saved)
			if err != nil {
				t.Fatal(err)
			}
			var tree any
			if err := json.Unmarshal(text, &tree); err != nil {
				t.Fatal(err)
			}
			for range 1 + random.IntN(3) {
				mutate(random, tree)
			}
			text, err = json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			var mutant Saved
			if json.Unmarshal(text, &mutant) != nil {
				refused++
				return
			}
			story := make([]byte, 3+2*random.IntN(20))
			for i := range story {
				story[i] = byte(random.Uint32())
			}
			if _, err := Restore(Default(), mutant, time.Unix(0, 0), 0); err != nil {
				refused++
				return
			}
			restored++
			if err := playRestored(mutant, story); err != nil {
				t.Errorf("seed %d: %v\nrestored from %s\nwith the story %#v", seed, err, text, story)
			}
		})
	}
	t.Logf("%d restored, %d refused", restored, refused)
	if restored < 50 || refused < 50 {
		t.Errorf("%d restored, %d refused: too few to say anything", restored, refused)
	}
}

// mutate changes one value somewhere in a tree of JSON.
func mutate(random *rand.Rand, tree any) {
	switch node := tree.(type) {
	case map[string]any:
		if len(node) == 0 {
			return
		}
		keys := make([]string, 0, len(node))
		for k := range node {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		k := keys[random.IntN(len(keys))]
		switch v := node[k].(type) {
		case map[string]any, []any:
			if random.IntN(8) > 0 {
				mutate(random, v)
				return
			}
			delete(node, k)
		case float64:
			node[k] = []float64{0, 1, -1, 2, 3, v + 1, v - 1, 1e9, -1e9, 9e18, -9e18, 1024, 1025}[random.IntN(13)]
		case bool:
			node[k] = !v
		case string:
			words := []string{"", "x", "starting", "standby", "ready", "draining", "killing", "gone", "idle", "running", "stopping", "done"}
			node[k] = words[random.IntN(len(words))]
		}
	case []any:
		if len(node) > 0 {
			n := random.IntN(len(node))
			if random.IntN(8) == 0 {
				node[n] = node[random.IntN(len(node))]
				return
			}
			mutate(random, node[n])
		}
	}
}
