package master

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/succession"
)

// inLoop has the loop call a function.
type inLoop struct{ f func(*loop) }

func (m inLoop) apply(l *loop) { m.f(l) }

// workWith starts n apps that run, has each of them stopped and started again, and tells what was encoded for the record.
func workWith(t *testing.T, n int) (work estate.Work) {
	store := &names{kept: map[string]int{}}
	m := startMaster(t, func(c *config.Config) {
		for i := range n {
			c.Apps = append(c.Apps, oneShot(fmt.Sprint("job", i), "exec sleep 1000"))
		}
	}, WithStore(store, map[string][]*os.File{}))
	<-m.s.Ready()
	answer := make(chan estate.Work, 1)
	m.s.post(inLoop{func(l *loop) {
		// What was patched is what is there.
		l.estate.SaveChanged()
		if err := l.estate.Settle(); err != nil {
			t.Error(err)
		}
		patched := store.recorded(t)
		work := l.estate.Work()
		l.estate.SaveAll()
		compareStates(t, patched, store.recorded(t))
		answer <- work
	}})
	work = <-answer
	if err := m.s.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.wait()
	return work
}

// compareStates says what differs, but for the times of which the two are.
func compareStates(t *testing.T, a, b succession.State) {
	t.Helper()
	names := func(s succession.State) (all []string) {
		for _, a := range s.Apps {
			all = append(all, fmt.Sprintf("%d %s in %d at %d with %v", a.Key, a.Config.Name, a.Sockets, a.Place, a.Members))
		}
		return all
	}
	if x, y := names(a), names(b); !slices.Equal(x, y) {
		t.Errorf("with its patches the record has\n%s\nand the loop\n%s", strings.Join(x, "\n"), strings.Join(y, "\n"))
	}
	for i := range min(len(a.Apps), len(b.Apps)) {
		x, y := a.Apps[i], b.Apps[i]
		if !reflect.DeepEqual(x.Generations, y.Generations) || !reflect.DeepEqual(x.Config, y.Config) || x.EverReady != y.EverReady {
			t.Errorf("app %s is\n%+v\nand was saved as\n%+v", y.Config.Name, y, x)
		}
	}
	if !slices.EqualFunc(a.Sockets, b.Sockets, func(x, y succession.Sockets) bool { return reflect.DeepEqual(x, y) }) || a.WasReady != b.WasReady {
		t.Errorf("sockets %+v, and were saved as %+v", b.Sockets, a.Sockets)
	}
}

// What is encoded for the record grows with the number of apps, not with its square.
func TestWorkOfSavingIsLinear(t *testing.T) {
	const few, many = 10, 60
	least, most := workWith(t, few), workWith(t, many)
	perApp := least.Bytes / few
	if most.Bytes > 3*perApp*many {
		t.Errorf("%d bytes in %d writes for %d apps, but %d in %d for %d", most.Bytes, most.Writes, many, least.Bytes, least.Writes, few)
	}
	if most.Writes > 3*many*least.Writes/few {
		t.Errorf("%d writes for %d apps, but %d for %d", most.Writes, many, least.Writes, few)
	}
}
