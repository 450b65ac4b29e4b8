package master

import (
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
)

// names is a store that keeps only the names, with how many files each has, and the record.
type names struct {
	mu    sync.Mutex
	kept  map[string]int
	state *os.File // a duplicate
}

func (n *names) Store(name string, files ...*os.File) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept[name] += len(files)
	if name == succession.StateFile {
		n.state, _ = ipc.Duplicate(files[0])
	}
	return nil
}

// recorded is what the record has.
func (n *names) recorded(t *testing.T) (s succession.State) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := record.Open(n.state)
	if err == nil {
		s, err = succession.Read(r)
	}
	if err != nil {
		t.Error(err)
	}
	return s
}

func (n *names) Remove(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.kept, name)
	return nil
}

func (n *names) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.kept))
}

// TestNothingIsKeptAfterAnEnd in order, which systemd could give to the next master. What is left of a master without a
// record is dropped.
func TestNothingIsKeptAfterAnEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	store := &names{kept: map[string]int{"sockets.7.sock.0.0": 1}}
	m := startMaster(t, nil, WithStore(store, map[string][]*os.File{"sockets.7.sock.0.0": {r}}))
	<-m.s.Ready()
	if all := store.all(); !slices.Contains(all, succession.StateFile) || slices.Contains(all, "sockets.7.sock.0.0") {
		t.Errorf("it keeps %v", all)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	if all := store.all(); len(all) > 0 {
		t.Errorf("after the end it keeps %v", all)
	}
}

// noOutput takes lines and drops them.
type noOutput struct{}

func (noOutput) Line([]byte, bool) {}
func (noOutput) Written(bool)      {}

// TestAWorkerThatHasEndedIsNotMissed: that a worker ends before it is stored is no failure of the store. Its exit is told, and a
// warning that workers will be lost would be wrong.
func TestAWorkerThatHasEndedIsNotMissed(t *testing.T) {
	w, err := handle.Start(proc.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 3"}}, nil, handle.Options{
		Post:   func(handle.Fact) bool { return true },
		Done:   t.Context().Done(),
		Go:     func(f func()) { go f() },
		Output: func(int) (stdout, stderr handle.Output) { return noOutput{}, noOutput{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	<-w.Process().Exited()
	store := &names{kept: map[string]int{}}
	if err := estate.New(nil, estate.Options{Store: store}).StoreWorker(&crew.Worker{Worker: w, App: &crew.App{Key: 7}, ID: 1}); err != nil {
		t.Errorf("it is missed: %v", err)
	}
	if all := store.all(); len(all) > 0 {
		t.Errorf("stored: %v", all)
	}
}
