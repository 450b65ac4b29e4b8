package launch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/proc"
)

// shelf is a store that notes what it is told.
type shelf struct{ stored, removed []string }

func (s *shelf) Store(name string, _ ...*os.File) error {
	s.stored = append(s.stored, name)
	return nil
}

func (s *shelf) Remove(name string) error {
	s.removed = append(s.removed, name)
	return nil
}

// program is a generation, left by an earlier master, whose release is a file in a folder of its own.
func program(t *testing.T) (l Left, name string) {
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
	return Left{Config: config.App{Name: "web", Command: []string{path}}, Command: &c}, KeptPin + c.ProgramID.String()
}

// A master that is about to follow another one, which lives, changes nothing in the store, and waits for no disk.
func TestRestoredReleaseIsLeftAsItIs(t *testing.T) {
	left, name := program(t)
	store := &shelf{}
	pins := NewPins(store)
	pins.Open = func(path string) (*os.File, proc.FileID, error) {
		t.Errorf("%s is opened", path)
		return proc.Pin(path)
	}
	g := Restore(pins, left, nil)
	if len(store.stored)+len(store.removed) > 0 {
		t.Errorf("stored %v, removed %v", store.stored, store.removed)
	}
	// In charge it holds what the last one could not.
	pins.Open = proc.Pin
	NewReleases(pins, 1, g).Hold(func(open func()) { open() })
	if len(store.stored) != 2 || g.Program == nil || g.Program.Name != name || g.Folder == nil || g.Resolved.Load().Command.Pinned.Program == nil {
		t.Errorf("stored %v, program %v, folder %v", store.stored, g.Program, g.Folder)
	}
	g.Drop(pins)
	if len(store.removed) != 2 || len(pins.Held) != 0 {
		t.Errorf("removed %v, held %v", store.removed, pins.Held)
	}
}

// What the loop does with releases waits for no disk, neither for that of the same app nor for another's.
func TestReleasesWhileADiskHangs(t *testing.T) {
	left, _ := program(t)
	other, _ := program(t)
	pins := NewPins(&shelf{})
	g := Restore(pins, left, nil)
	hangs, goOn := make(chan string, 2), make(chan struct{})
	pins.Open = func(path string) (*os.File, proc.FileID, error) {
		hangs <- path
		<-goOn
		return proc.Pin(path)
	}
	held := make(chan struct{})
	go func() { defer close(held); g.Hold(pins) }()
	<-hangs
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := RestoreReleases(pins, Remembered{ByNumber: map[int]*Generation{1: g}, Previous: Restore(pins, other, nil)}, 1)
		r.Shown(1)
		r.Mark()
		r.Take(2, 1, left.Config, true, func(int) bool { return false })
		r.Done(2, time.Now())
		_ = pins.Each(func(string, *os.File) error { return nil })
		r.Close()
		r.Forget()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the loop waits for a disk")
	}
	close(goOn)
	<-held
	<-done
	if len(pins.Held) != 0 {
		t.Errorf("dropped while it was opened, and held for ever: %v", pins.Held)
	}
}

// TestReleases: which files are held, and which release is the one before, over the rollouts of an app.
func TestReleases(t *testing.T) {
	pins := NewPins(nil)
	var names []string
	restored := func() *Generation {
		left, name := program(t)
		names = append(names, name)
		g := Restore(pins, left, nil)
		g.Hold(pins)
		return g
	}
	// rolled is a rollout to g that is done, with workers of no generation but the newest.
	rolled := func(r *Releases, number int, g *Generation) {
		r.Take(number, number-1, g.Config, false, func(int) bool { return false })
		r.byNumber[number] = g // as if it had been found on disk
		r.Done(number, time.Unix(int64(number), 0))
	}
	want := func(when string, r *Releases, previous *Generation, held ...int) {
		t.Helper()
		if r.previous != previous {
			t.Errorf("%s: another release is the one before", when)
		}
		for i, name := range names {
			if pins.Holds(name) != slices.Contains(held, i) {
				t.Errorf("%s: program %d is held: %v", when, i, pins.Holds(name))
			}
		}
	}
	a, b, c := restored(), restored(), restored()
	r := NewReleases(pins, 1, a)
	if r.Before(1, false) != nil || r.HasPrevious() {
		t.Error("a release before the first")
	}
	rolled(r, 2, b)
	want("second", r, a, 0, 1, 2)
	if r.Before(2, false) != a || r.Before(2, true) != b {
		t.Error("a rollback goes back to another release than the one before, or a rollout under way is not left for what runs")
	}
	mark := r.Mark()
	rolled(r, 3, c)
	want("third", r, b, 1, 2)
	if again := r.Mark(); again == mark || again != r.Mark() || again.Partial() {
		t.Error("the mark does not tell")
	}

	// Back, and the same again: a rollout to the same release forgets nothing.
	r.QueueBack(3, false)
	r.Take(4, 3, c.Config, true, func(int) bool { return false })
	back := r.Of(4)
	if !back.Back || !SameRelease(back, b) || r.backTo != nil {
		t.Error("the rollback does not take the release before")
	}
	r.Done(4, time.Unix(4, 0))
	want("back", r, c, 1, 2)
	again := back.Again(pins)
	rolled(r, 5, again)
	want("the same again", r, c, 1, 2)
	if now, before := r.Shown(5); now == nil || !now.Rollback || now.Program != b.Resolved.Load().Command.Path || before == nil || !before.Until.Equal(time.Unix(4, 0)) {
		t.Errorf("shown: %+v, %+v", now, before)
	}

	// The next run inherits the release before; the files of the others are given up.
	r.Close()
	want("closed", r, c, 2)
	next := NewReleases(pins, 6, restored())
	next.Inherit(r)
	r.Forget()
	want("the next run", next, c, 2, 3)
	if r.HasPrevious() || r.Of(5) == nil {
		t.Error("what has ended remembers another's release, or not what it was")
	}
	next.Close()
	next.Forget()
	want("forgotten", next, c)
}

// TestTakeAfterAnInterruption: a rollout that an earlier master has begun goes on with its generation; of the others those stay that a
// slot may start again.
func TestTakeAfterAnInterruption(t *testing.T) {
	pins := NewPins(nil)
	all := map[int]*Generation{}
	for n := 1; n <= 4; n++ {
		left, _ := program(t)
		all[n] = Restore(pins, left, nil)
	}
	begun := all[4]
	r := RestoreReleases(pins, Remembered{ByNumber: all, Until: time.Unix(1, 0)}, 3)
	if !r.Mark().Partial() {
		t.Error("four generations have one mark")
	}
	r.Take(4, 3, begun.Config, false, func(n int) bool { return n == 1 })
	if r.Of(4) != begun || r.Of(1) == nil || r.Of(2) != nil || r.Of(3) == nil || r.HasPrevious() {
		t.Errorf("%+v", r)
	}
	if m := r.Remembered(); len(m.ByNumber) != 3 || !m.Until.IsZero() {
		t.Errorf("remembered %+v", m)
	}
}

// TestRenew: an app that waits for others is started from what is on disk then, and a run that was prepared gets another number.
func TestRenew(t *testing.T) {
	left, _ := program(t)
	r := NewReleases(NewPins(nil), 1, New(left.Config))
	if _, err := r.Of(1).Resolve(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(left.Command.Path); err != nil {
		t.Fatal(err)
	}
	r.Renew(1, left.Config)
	if _, err := r.Of(1).Resolve(); err == nil || !strings.Contains(err.Error(), "web") {
		t.Errorf("started from what was on disk before: %v", err)
	}
	r.Renumber(1, 7, config.App{Name: "web", Workers: 3})
	if g := r.Of(7); g == nil || r.Of(1) != nil || g.Config.Workers != 3 {
		t.Errorf("%+v", r)
	}
}
