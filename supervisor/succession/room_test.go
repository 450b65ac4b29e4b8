package succession

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/keeper"
)

func TestShortage(t *testing.T) {
	full := func(free int, refused ...string) keeper.Room {
		return keeper.Room{Files: 100 - free, MaxFiles: 100, Refused: refused}
	}
	for name, c := range map[string]struct {
		before  []string
		room    keeper.Room
		files   map[string]int // that there are; else 4 of each
		want    Look
		workers int
		loss    string // of the keeper
	}{
		"all is stored":       {nil, full(3), nil, Look{}, 0, ""},
		"a worker is missing": {nil, full(3, "worker.1.7"), nil, Look{New: []string{"worker.1.7"}, Begins: true}, 1, "1 worker, which"},
		"it is said once":     {[]string{"worker.1.7"}, full(3, "worker.1.7"), nil, Look{}, 1, "1 worker, which"},
		"another one, sorted": {[]string{"worker.1.7"}, full(0, "worker.2.1", "worker.1.7", "sockets.4.sock.0.0"), nil,
			Look{New: []string{"sockets.4.sock.0.0", "worker.2.1"}}, 2, "2 workers and 1 other file, which"},
		"there is room again": {[]string{"worker.1.7", "worker.1.8"}, full(9, "worker.1.7", "worker.1.8"), nil,
			Look{Again: []string{"worker.1.7", "worker.1.8"}}, 2, "2 workers, which"},
		"the room is for one": {[]string{"worker.1.7", "worker.1.8"}, full(7, "worker.1.7", "worker.1.8"), nil,
			Look{Again: []string{"worker.1.7"}}, 2, "2 workers, which"},
		"a small one does not overtake": {[]string{"a", "b"}, full(3, "a", "b"), map[string]int{"a": 4, "b": 1}, Look{}, 0, "2 other files, which"},
		"it has ended meanwhile": {[]string{"worker.1.7", "worker.1.8"}, full(4, "worker.1.7", "worker.1.8"), map[string]int{"worker.1.8": 4},
			Look{Again: []string{"worker.1.8"}}, 1, "1 worker, which"},
		"and nothing is lost with it": {[]string{"worker.1.7"}, full(0, "worker.1.7"), map[string]int{}, Look{}, 0, ""},
		"all is stored again":         {[]string{"worker.1.7"}, full(1), nil, Look{Ends: true}, 0, ""},
		"a keeper that knows no most": {nil, keeper.Room{Refused: []string{"worker.1.7"}}, nil, Look{New: []string{"worker.1.7"}, Begins: true}, 1, "1 worker, which"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Shortage{Missing: c.before}
			got := s.Look(c.room, func(name string) int {
				if c.files == nil {
					return 4
				}
				return c.files[name]
			})
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, wanted %+v", got, c.want)
			}
			loss := s.Loss(c.workers, "keeper")
			if (loss == "") != (c.loss == "") || !strings.HasPrefix(strings.TrimPrefix(loss, "a crash of the master would lose "), c.loss) {
				t.Errorf("%q, wanted %q", loss, c.loss)
			}
		})
	}
	s := Shortage{}
	s.Look(full(3, "worker.1.7", "values"), func(string) int { return 0 })
	const want = "a crash of the master would lose 1 worker and 1 other file, which the keeper has no room for: it has 97 of at most 100 descriptors"
	if got := s.Loss(1, "keeper"); got != want {
		t.Errorf("%s\nwanted\n%s", got, want)
	}
}
