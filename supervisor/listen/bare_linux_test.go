package listen

import (
	"os"
	"testing"
	"time"
)

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A Set without addresses costs no descriptor, also when it is watched, until its board is needed.
func TestSetWithoutAddressesCostsNoDescriptor(t *testing.T) {
	before := openFiles(t)
	s, err := Open(nil, 3, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Watch(Watch{Pulse: time.Second}); err != nil {
		t.Fatal(err)
	}
	if err := s.SteerTo([]int{1}); err != nil {
		t.Error(err)
	}
	if err := s.OpenSlot(3); err != nil {
		t.Error(err)
	}
	s.Seat(0, 0, 7)
	s.Vacate(0, 0)
	s.Wake()
	if n, err := s.Queue(2); n != 0 || err != nil {
		t.Errorf("queue: %d, %v", n, err)
	}
	if st := s.Steering(); st.Kind != KindNone || len(st.Notes) > 0 || !st.Exact {
		t.Errorf("steering is %+v", st)
	}
	if files := s.Files(); len(files) > 0 || s.Board() != nil {
		t.Errorf("it has files: %v", files)
	}
	if now := openFiles(t); now != before {
		t.Errorf("%d descriptors more than before", now-before)
	}
	adopted, err := adopt(s.Save(), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	adopted.Leave()

	changes := s.Changes()
	if err := s.NeedBoard(); err != nil {
		t.Fatal(err)
	}
	if s.Changes() == changes || len(s.Files()) != 2 || s.Save().Bare {
		t.Errorf("with a board its files are %v", s.Files())
	}
	s.Seat(0, 0, 7)
	adopted, err = adopt(s.Save(), s.Files(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !adopted.Keep(0, 0, 7) {
		t.Error("the worker has lost its seat")
	}
	adopted.Leave()
	s.Close()
	if now := openFiles(t); now != before {
		t.Errorf("%d descriptors are left", now-before)
	}
}

// The version before this one wants a board of every Set. What it left is adopted with it.
func TestAdoptSetWithoutAddressesButWithBoard(t *testing.T) {
	s, err := Open(nil, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	spare := s.Spare()
	if spare == nil {
		t.Fatal("there is no board for an earlier version")
	}
	defer spare.Close()
	hot, rows := spare.Files()
	saved := s.Save()
	saved.Bare = false
	adopted, err := adopt(saved, map[string]*os.File{fileHot: hot, fileRows: rows}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Leave()
	if adopted.Board() == nil || adopted.Steering().Kind != KindNone {
		t.Errorf("board %v, steering %+v", adopted.Board(), adopted.Steering())
	}
	if err := adopted.Watch(Watch{}); err != nil {
		t.Error(err)
	}
	lost, err := Prepare(saved, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Leave()
	if mended := lost.Begin(); len(mended) != 1 || mended[0].Slot != AllSlots || lost.Board() == nil {
		t.Errorf("a board that must be there and is not: %+v", mended)
	}
}
