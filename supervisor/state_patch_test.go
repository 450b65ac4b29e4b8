package supervisor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
)

// patchedNames reads a record of a whole and patches and tells what it has, in words.
func patchedNames(t *testing.T, whole savedState, patches ...savedPatch) string {
	t.Helper()
	blob, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, p := range patches {
		p.Version = stateVersion
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	s, err := readPatched(blob, all)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range s.Apps {
		words = append(words, fmt.Sprintf("%s@%d", a.Config.Name, a.at))
	}
	words = append(words, "ended")
	for _, a := range s.Ended {
		words = append(words, fmt.Sprintf("%s@%d", a.Config.Name, a.at))
	}
	words = append(words, "sockets")
	for _, set := range s.Sockets {
		words = append(words, fmt.Sprintf("%d:%d", set.Key, set.Set.Slots))
	}
	return strings.Join(append(words, "config", string(s.Config)), " ")
}

func TestPatchedState(t *testing.T) {
	app := func(key int, name string, place, sockets int) savedApp {
		return savedApp{Key: key, Config: config.App{Name: name}, Place: place, Sockets: sockets}
	}
	ended := func(key int, name string, place int) savedEnded {
		return savedEnded{Key: key, Config: config.App{Name: name}, Place: place}
	}
	set := func(key, slots int) savedSockets { return savedSockets{key, listen.Saved{Slots: slots}} }
	whole := savedState{
		Version: stateVersion, At: 100, Config: json.RawMessage(`"old"`),
		Apps: []savedApp{app(1, "a", 0, 11), app(2, "b", 1, 12)}, Sockets: []savedSockets{set(11, 1), set(12, 2)},
		Ended: []savedEnded{ended(3, "c", 2)},
	}
	patch := func(at int64, s savedState, gone ...int) savedPatch {
		s.At = at
		return savedPatch{s, gone}
	}
	for name, c := range map[string]struct {
		patches []savedPatch
		want    string
	}{
		"none":                 {nil, `a@100 b@100 ended c@100 sockets 11:1 12:2 config "old"`},
		"nothing but the head": {[]savedPatch{patch(200, savedState{})}, `a@100 b@100 ended c@100 sockets 11:1 12:2 config "old"`},
		"an app and its sockets": {[]savedPatch{patch(200, savedState{Apps: []savedApp{app(2, "b", 1, 12)}, Sockets: []savedSockets{set(12, 5)}})},
			`a@100 b@200 ended c@100 sockets 11:1 12:5 config "old"`},
		"an app ends": {[]savedPatch{patch(200, savedState{Ended: []savedEnded{ended(1, "a", 0)}})},
			`b@100 ended a@200 c@100 sockets 12:2 config "old"`},
		"an app is started again in its place": {[]savedPatch{patch(200, savedState{Apps: []savedApp{app(4, "c", 2, 14)}, Sockets: []savedSockets{set(14, 1)}}, 3)},
			`a@100 b@100 c@200 ended sockets 11:1 12:2 14:1 config "old"`},
		"one comes between two, then one goes": {[]savedPatch{
			patch(200, savedState{Apps: []savedApp{app(5, "new", 1, 15), app(2, "b", 2, 12)}, Sockets: []savedSockets{set(15, 1), set(12, 2)}, Ended: []savedEnded{ended(3, "c", 3)}}),
			patch(300, savedState{Config: json.RawMessage(`"new"`)}, 1)},
			`new@200 b@200 ended c@200 sockets 15:1 12:2 config "new"`},
		"all go": {[]savedPatch{patch(200, savedState{}, 1, 2, 3)}, `ended sockets config "old"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := patchedNames(t, whole, c.patches...); got != c.want {
				t.Errorf("%s\nwanted\n%s", got, c.want)
			}
		})
	}
	blob, _ := json.Marshal(whole)
	if _, err := readPatched(blob, [][]byte{[]byte("{")}); err == nil || !strings.Contains(err.Error(), "patch 0 of the record") {
		t.Error(err)
	}
}
