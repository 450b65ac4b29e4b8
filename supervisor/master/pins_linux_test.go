package master

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// storedNames notes what it is told.
type storedNames struct{ stored, removed []string }

func (s *storedNames) Store(name string, _ ...*os.File) error {
	s.stored = append(s.stored, name)
	return nil
}

func (s *storedNames) Remove(name string) error {
	s.removed = append(s.removed, name)
	return nil
}

// releaseAt is a generation whose release is a file in a folder, resolved and not held.
func releaseAt(t *testing.T) (saved succession.Generation, name string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "server")
	if err := os.WriteFile(path, []byte("\x7fELF"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := proc.Command{Path: path, Dir: dir}
	for path, to := range map[string]**proc.FileID{path: &c.ProgramID, dir: &c.FolderID} {
		id, err := proc.IDOf(path)
		if err != nil {
			t.Fatal(err)
		}
		*to = &id
	}
	return succession.Generation{Config: config.App{Name: "web", Command: []string{path}}, Command: &c}, launch.KeptPin + c.ProgramID.String()
}

// A master that is about to follow another one, which lives, changes nothing in the store, and waits for no disk.
func TestRestoredReleaseIsLeftAsItIs(t *testing.T) {
	saved, name := releaseAt(t)
	store := &storedNames{}
	l := &loop{s: &Supervisor{pins: launch.NewPins(store)}}
	l.s.pins.Open = func(path string) (*os.File, proc.FileID, error) {
		t.Errorf("%s is opened", path)
		return proc.Pin(path)
	}
	g := l.restoredGeneration(saved)
	if len(store.stored)+len(store.removed) > 0 {
		t.Errorf("stored %v, removed %v", store.stored, store.removed)
	}
	// In charge it holds what the last one could not.
	l.s.pins.Open = proc.Pin
	l.apps = []*crew.App{{Generations: map[int]*launch.Generation{1: g}}}
	l.holdReleases()
	l.s.wg.Wait()
	if len(store.stored) != 2 || g.Program == nil || g.Program.Name != name || g.Folder == nil || g.Resolved.Load().Command.Pinned.Program == nil {
		t.Errorf("stored %v, program %v, folder %v", store.stored, g.Program, g.Folder)
	}
	g.Drop(l.s.pins)
	if len(store.removed) != 2 || len(l.s.pins.Held) != 0 {
		t.Errorf("removed %v, held %v", store.removed, l.s.pins.Held)
	}
}

// What the loop does with releases waits for no disk, neither for that of the same app nor for another's.
func TestReleasesWhileADiskHangs(t *testing.T) {
	saved, _ := releaseAt(t)
	store := &storedNames{}
	l := &loop{s: &Supervisor{pins: launch.NewPins(store)}}
	g := l.restoredGeneration(saved)
	hangs, goOn := make(chan string, 2), make(chan struct{})
	l.s.pins.Open = func(path string) (*os.File, proc.FileID, error) {
		hangs <- path
		<-goOn
		return proc.Pin(path)
	}
	held := make(chan struct{})
	go func() { defer close(held); g.Hold(l.s.pins) }()
	<-hangs
	other, _ := releaseAt(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		releaseOf(1, g)
		l.restoredGeneration(other).Again(l.s.pins)
		_ = l.s.pins.Each(func(string, *os.File) error { return nil })
		g.Drop(l.s.pins)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the loop waits for a disk")
	}
	close(goOn)
	<-held
	<-done
	if len(l.s.pins.Held) != 0 {
		t.Errorf("dropped while it was opened, and held for ever: %v", l.s.pins.Held)
	}
}
