package succession

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// patchedNames reads a record of a whole and patches and tells what it has, in words.
func patchedNames(t *testing.T, whole State, patches ...Patch) string {
	t.Helper()
	blob, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, p := range patches {
		p.Version = Version
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	s, err := Decode(blob, all)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range s.Apps {
		words = append(words, fmt.Sprintf("%s@%d", a.Config.Name, a.At))
	}
	words = append(words, "ended")
	for _, a := range s.Ended {
		words = append(words, fmt.Sprintf("%s@%d", a.Config.Name, a.At))
	}
	words = append(words, "sockets")
	for _, set := range s.Sockets {
		words = append(words, fmt.Sprintf("%d:%d", set.Key, set.Set.Slots))
	}
	return strings.Join(append(words, "config", string(s.Config)), " ")
}

func TestPatchedState(t *testing.T) {
	app := func(key int, name string, place, sockets int) App {
		return App{Key: key, Config: config.App{Name: name}, Place: place, Sockets: sockets}
	}
	ended := func(key int, name string, place int) Ended {
		return Ended{Key: key, Config: config.App{Name: name}, Place: place}
	}
	set := func(key, slots int) Sockets { return Sockets{key, listen.Saved{Slots: slots}} }
	whole := State{
		Version: Version, At: 100, Config: json.RawMessage(`"old"`),
		Apps: []App{app(1, "a", 0, 11), app(2, "b", 1, 12)}, Sockets: []Sockets{set(11, 1), set(12, 2)},
		Ended: []Ended{ended(3, "c", 2)},
	}
	patch := func(at int64, s State, gone ...int) Patch {
		s.At = at
		return Patch{State: s, Gone: gone}
	}
	for name, c := range map[string]struct {
		patches []Patch
		want    string
	}{
		"none":                 {nil, `a@100 b@100 ended c@100 sockets 11:1 12:2 config "old"`},
		"nothing but the head": {[]Patch{patch(200, State{})}, `a@100 b@100 ended c@100 sockets 11:1 12:2 config "old"`},
		"an app and its sockets": {[]Patch{patch(200, State{Apps: []App{app(2, "b", 1, 12)}, Sockets: []Sockets{set(12, 5)}})},
			`a@100 b@200 ended c@100 sockets 11:1 12:5 config "old"`},
		"an app ends": {[]Patch{patch(200, State{Ended: []Ended{ended(1, "a", 0)}})},
			`b@100 ended a@200 c@100 sockets 12:2 config "old"`},
		"an app is started again in its place": {[]Patch{patch(200, State{Apps: []App{app(4, "c", 2, 14)}, Sockets: []Sockets{set(14, 1)}}, 3)},
			`a@100 b@100 c@200 ended sockets 11:1 12:2 14:1 config "old"`},
		"one comes between two, then one goes": {[]Patch{
			patch(200, State{Apps: []App{app(5, "new", 1, 15), app(2, "b", 2, 12)}, Sockets: []Sockets{set(15, 1), set(12, 2)}, Ended: []Ended{ended(3, "c", 3)}}),
			patch(300, State{Config: json.RawMessage(`"new"`)}, 1)},
			`new@200 b@200 ended c@200 sockets 15:1 12:2 config "new"`},
		"all go": {[]Patch{patch(200, State{}, 1, 2, 3)}, `ended sockets config "old"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := patchedNames(t, whole, c.patches...); got != c.want {
				t.Errorf("%s\nwanted\n%s", got, c.want)
			}
		})
	}
	blob, _ := json.Marshal(whole)
	if _, err := Decode(blob, [][]byte{[]byte("{")}); err == nil || !strings.Contains(err.Error(), "patch 0 of the record") {
		t.Error(err)
	}
}

// TestPartIsAll: whatever a pool does, an app whose changes are in parts is read as it is.
func TestPartIsAll(t *testing.T) {
	const slots = 5
	cfg := pool.Default()
	cfg.Workers = slots
	p, now, at := pool.New(cfg), time.Unix(0, 0), int64(1000)
	live := map[pool.WorkerID]Member{}
	slot := map[pool.WorkerID]int{}
	var todo []pool.Effect
	step := func(ev pool.Event) {
		now, at = now.Add(7*time.Millisecond), at+int64(7*time.Millisecond)
		todo = append(todo, p.Step(now, ev)...)
	}
	app := func() App {
		a := App{Key: 1, Config: config.App{Name: "a"}, Pool: p.Snapshot(now), At: at}
		for _, id := range slices.Sorted(maps.Keys(live)) {
			a.Members = append(a.Members, live[id])
		}
		return a
	}
	encode := func(v any) []byte {
		blob, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	var whole []byte
	var patches [][]byte
	largest, n := 0, 0
	write := func(members []Member, gone ...pool.WorkerID) {
		part, ok := p.Changes(now)
		if whole == nil || !ok {
			whole, patches = encode(State{Version: Version, At: at, Apps: []App{app()}}), nil
			return
		}
		patch := encode(Patch{State: State{Version: Version, At: at}, Parts: []Part{{Key: 1, Pool: part, Members: members, Gone: gone}}})
		largest, n = max(largest, len(patch)), n+1
		patches = append(patches, patch)
		got, err := Decode(whole, patches)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := Decode(encode(State{Version: Version, At: at, Apps: []App{app()}}), nil)
		p.Changes(now) // the snapshot was the test's
		if !reflect.DeepEqual(got.Apps, want.Apps) {
			t.Fatalf("after %d patches\n%+v\nwanted\n%+v", len(patches), got.Apps, want.Apps)
		}
	}
	run := func() {
		for len(todo) > 0 {
			e := todo[0]
			todo = todo[1:]
			switch e := e.(type) {
			case pool.Spawn:
				slot[e.ID] = e.Slot
				m := Member{ID: e.ID, PID: int(e.ID), Slot: e.Slot}
				step(pool.Spawned{ID: e.ID, PID: int(e.ID)})
				live[e.ID] = m
				write([]Member{m})
				step(pool.Ready{ID: e.ID})
				m.Ready = true
				live[e.ID] = m
				write([]Member{m})
			case pool.Drain:
				delete(live, e.ID)
				step(pool.Exited{ID: e.ID})
				write(nil, e.ID)
			}
		}
	}
	step(pool.Start{})
	run()
	step(pool.Roll{Reason: "test"})
	run()
	if n < 3*slots || largest > 3000 {
		t.Errorf("%d patches, the largest of %d bytes", n, largest)
	}
}

// TestOlderReader: what a version that knows no parts takes from such a patch is the whole, and no error.
func TestOlderReader(t *testing.T) {
	patch, err := json.Marshal(Patch{State: State{Version: Version, At: 200, WasReady: true}, Parts: []Part{{Key: 1, Members: []Member{{ID: 7}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var old struct { // as it was
		State
		Gone []int `json:"gone,omitempty"`
	}
	if err := json.Unmarshal(patch, &old); err != nil || len(old.Apps)+len(old.Ended)+len(old.Sockets)+len(old.Gone) > 0 || !old.WasReady {
		t.Errorf("%+v, %v", old, err)
	}
}

func TestPartOfNothing(t *testing.T) {
	whole := []byte(`{"version":1,"at":1,"apps":[{"key":1,"pool":{"slots":[{}]}}]}`)
	for patch, words := range map[string]string{
		`{"version":1,"parts":[{"key":2}]}`:                           "app 2, which is not there",
		`{"version":1,"parts":[{"key":1,"pool":{"slots":{"1":{}}}}]}`: "slot 1 has changed",
		`{"version":1,"parts":[{"key":1,"slots":{"1000000000":{}}}]}`: "history of slot 1000000000",
		`{"version":1,"parts":[{"key":1,"slots":{"-1":{}}}]}`:         "history of slot -1",
	} {
		if _, err := Decode(whole, [][]byte{[]byte(patch)}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, wanted %q", patch, err, words)
		}
	}
}

// FuzzDecode: no bytes make Decode fail but by an error, and what it reads it reads again as the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"apps":[{"key":1,"pool":{"slots":[{},{}]},"members":[{"id":3}]}],"sockets":[{"key":4}]}`), []byte(`{"parts":[{"key":1,"pool":{"slots":{"1":{"filled":true}}},"members":[{"id":2},{"id":5}],"gone":[3],"slots":{"4":{"restarts":2}}}]}`), []byte(`{"gone":[1]}`))
	f.Add([]byte(`{"version":1}`), []byte(`{"ended":[{"key":1}]}`), []byte(`{"apps":[{"key":1}],"sockets":[{"key":0}]}`))
	f.Fuzz(func(t *testing.T, whole, one, two []byte) {
		s, err := Decode(whole, [][]byte{one, two})
		if err != nil {
			return
		}
		blob, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(blob, nil)
		if err != nil {
			t.Fatalf("%v: %s", err, blob)
		}
		if blob2, _ := json.Marshal(again); string(blob2) != string(blob) {
			t.Fatalf("%s\nis read as\n%s", blob, blob2)
		}
	})
}
