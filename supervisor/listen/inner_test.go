package listen

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// innerPrefix is a prefix in a folder of its own that is short enough.
func innerPrefix(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "web.")
}

func mustSetInner(t *testing.T, s *Set, prefix string) {
	t.Helper()
	if err := s.SetInner(prefix); err != nil {
		t.Fatal(err)
	}
}

// innerListener is the inner socket of a slot as a worker has it.
func innerListener(t *testing.T, s *Set, slot int) net.Listener {
	t.Helper()
	path, f, err := s.ShareInner(slot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := InnerPath(s.Inner(), slot); path != want {
		t.Errorf("the path of slot %d is %s, want %s", slot, path, want)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	t.Cleanup(func() { ln.Close() })
	return ln
}

// waitIn leaves a word in the queue of a slot's inner socket.
func waitIn(t *testing.T, prefix string, slot int, word string) {
	t.Helper()
	c, err := net.Dial("unix", InnerPath(prefix, slot))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
}

func accepted(t *testing.T, ln net.Listener) string {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// What waits at a slot's inner socket outlives the worker that has it, and no other slot gets it. The file is there as long as the slot.
func TestInnerSocketOutlivesItsWorkers(t *testing.T) {
	for _, addresses := range [][]string{nil, {"127.0.0.1:0"}} {
		t.Run(strings.Join(addresses, ","), func(t *testing.T) {
			prefix := innerPrefix(t)
			s := mustOpen(t, 2, addresses...)
			mustSetInner(t, s, prefix)
			info, err := os.Lstat(InnerPath(prefix, 1))
			if err != nil || info.Mode() != fs.ModeSocket|0o600 {
				t.Fatalf("the file is %v, %v; want a socket with 0600", info, err)
			}
			first := innerListener(t, s, 1)
			waitIn(t, prefix, 1, "late")
			first.Close() // as a worker that is killed
			if got := accepted(t, innerListener(t, s, 1)); got != "late" {
				t.Errorf("the successor got %q", got)
			}
			if err := s.OpenSlot(2); err != nil {
				t.Fatal(err)
			}
			waitIn(t, prefix, 2, "new")
			if got := accepted(t, innerListener(t, s, 2)); got != "new" {
				t.Errorf("the new slot got %q", got)
			}
			if err := s.CloseSlot(2); err != nil {
				t.Fatal(err)
			}
			if exists(InnerPath(prefix, 2)) || !exists(InnerPath(prefix, 1)) {
				t.Error("a slot that is closed leaves its file, or takes another's")
			}
			if len(s.Addresses()) != len(addresses) {
				t.Errorf("inner sockets are among the addresses: %v", s.Addresses())
			}
			mustSetInner(t, s, "")
			if exists(InnerPath(prefix, 1)) || s.Inner() != "" || s.Save().Inner != nil {
				t.Error("something is left of the inner sockets")
			}
			if path, f, err := s.ShareInner(1); path != "" || f != nil || err != nil {
				t.Errorf("without inner sockets: %q, %v, %v", path, f, err)
			}
			mustSetInner(t, s, prefix)
			s.Close()
			if exists(InnerPath(prefix, 0)) {
				t.Error("Close has left a file")
			}
		})
	}
}

// The next master goes on with the inner sockets, with what waits there; so does one that has lost a file of them, with a new socket.
func TestAdoptInnerSockets(t *testing.T) {
	prefix := innerPrefix(t)
	s := mustOpen(t, 2, "127.0.0.1:0")
	mustSetInner(t, s, prefix)
	waitIn(t, prefix, 0, "kept")
	blob, err := json.Marshal(s.Save())
	if err != nil {
		t.Fatal(err)
	}
	var saved Saved
	if err := json.Unmarshal(blob, &saved); err != nil {
		t.Fatal(err)
	}
	files := map[string]*os.File{}
	for name, f := range s.Files() {
		if files[name], err = ipc.Duplicate(f); err != nil {
			t.Fatal(err)
		}
		defer files[name].Close()
	}
	next, err := Prepare(saved, files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Leave()
	if mended := next.Begin(); len(mended) != 0 {
		t.Errorf("made anew: %+v", mended)
	}
	if got := accepted(t, innerListener(t, next, 0)); got != "kept" {
		t.Errorf("the next master's worker got %q", got)
	}
	delete(files, InnerName(1))
	saved = next.Save()
	next.Leave()
	last, err := Prepare(saved, files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	mended := last.Begin()
	if len(mended) != 1 || !mended[0].Inner || mended[0].Slot != 1 || mended[0].Err != nil || len(mended[0].New) != 1 || mended[0].New[0] != InnerName(1) {
		t.Errorf("of a file that is missing: %+v", mended)
	}
	waitIn(t, prefix, 1, "anew")
	if got := accepted(t, innerListener(t, last, 1)); got != "anew" {
		t.Errorf("the new socket got %q", got)
	}
}

// A version that knows nothing of inner sockets leaves them out of what it saves. A Set that is adopted from it has none, until it is
// told to, and then the old files are replaced, also while a worker still listens there.
func TestInnerSocketsReplaceThoseOfAnEarlierMaster(t *testing.T) {
	prefix := innerPrefix(t)
	s := mustOpen(t, 1)
	mustSetInner(t, s, prefix)
	if err := s.OpenSlot(1); err != nil {
		t.Fatal(err)
	}
	others := prefix + "x.0.sock" // of app web.x
	if err := os.WriteFile(others, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := innerListener(t, s, 0)
	waitIn(t, prefix, 0, "before")
	saved := s.Save()
	saved.Inner, saved.Slots = nil, 1
	next, err := adopt(saved, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	s.Leave()
	if next.Inner() != "" {
		t.Fatal("it has inner sockets")
	}
	mustSetInner(t, next, prefix)
	if exists(InnerPath(prefix, 1)) || !exists(others) {
		t.Error("a file of a slot that is not there is left, or one of another app is gone")
	}
	waitIn(t, prefix, 0, "after")
	if got := accepted(t, innerListener(t, next, 0)); got != "after" {
		t.Errorf("the new socket got %q", got)
	}
	if got := accepted(t, old); got != "before" {
		t.Errorf("the old socket got %q", got)
	}
}

// An inner socket that a worker has shut down is made anew, and no other; one whose folder is missing does not keep a slot from opening.
func TestInnerSocketIsMended(t *testing.T) {
	prefix := innerPrefix(t)
	s := mustOpen(t, 2)
	mustSetInner(t, s, prefix)
	_, f, err := s.ShareInner(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := ipc.Control(f, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ShareInner(1); !errors.Is(err, ErrDeaf) {
		t.Errorf("a socket that listens no more is shared: %v", err)
	}
	if got := s.Mend(0); len(got) != 0 {
		t.Errorf("mended in slot 0: %+v", got)
	}
	if got := s.Mend(1); len(got) != 1 || got[0].Err != nil || !got[0].Inner {
		t.Errorf("mended in slot 1: %+v", got)
	}
	waitIn(t, prefix, 1, "again")
	if got := accepted(t, innerListener(t, s, 1)); got != "again" {
		t.Errorf("the new socket got %q", got)
	}

	folder := filepath.Dir(prefix)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenSlot(2); err != nil {
		t.Fatal(err)
	}
	if got := s.Mend(2); len(got) != 1 || got[0].Err == nil {
		t.Errorf("mended without a folder: %+v", got)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := s.Mend(2); len(got) != 1 || got[0].Err != nil {
		t.Errorf("mended with the folder: %+v", got)
	}
	waitIn(t, prefix, 2, "at last")
}

// Another prefix renames the files: what waits goes on waiting. One that is too long changes nothing.
func TestInnerSocketsAreRenamed(t *testing.T) {
	prefix := innerPrefix(t)
	s := mustOpen(t, 1)
	mustSetInner(t, s, prefix)
	waitIn(t, prefix, 0, "moved")
	other := filepath.Join(filepath.Dir(prefix), "web2.")
	mustSetInner(t, s, other)
	if exists(InnerPath(prefix, 0)) || !exists(InnerPath(other, 0)) {
		t.Error("the file was not renamed")
	}
	long := prefix + strings.Repeat("x", maxPath)
	if err := s.SetInner(long); err == nil || !strings.Contains(err.Error(), "103 bytes") || s.Inner() != other {
		t.Errorf("a prefix that is too long: %v, and it is %s", err, s.Inner())
	}
	if got := accepted(t, innerListener(t, s, 0)); got != "moved" {
		t.Errorf("got %q", got)
	}
	if s.Close(); exists(InnerPath(other, 0)) {
		t.Error("Close has left the file")
	}
}
