package listen

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestUnixSocket(t *testing.T) {
	lookFor(t, eventually.Patience())
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 2, "unix:"+path)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("mode is %v, want a socket with 0600", got)
	}
	if !s.groups[0].shared {
		t.Error("each slot has a socket of its own")
	}
	startWorker(t, s, 1)
	if slot, err := ask(s.Addresses()[0]); err != nil || slot != 1 {
		t.Errorf("answered by %d, %v; want the only one that accepts, 1", slot, err)
	}

	_, err = Open(mustParse(t, "unix:"+path), 1, Options{})
	used := wantInUse(t, err)
	if balances && (len(used.Holders) != 1 || used.Holders[0].PID != os.Getpid()) {
		t.Errorf("holders are %v, want this process", used.Holders)
	}
	if slot, err := ask(s.Addresses()[0]); err != nil || slot != 1 {
		t.Errorf("after another tried: answered by %d, %v; want 1", slot, err)
	}

	if err := s.CloseSlot(1); err != nil {
		t.Fatal(err)
	}
	if !exists(path) {
		t.Error("closing a slot that is not the last has removed the file")
	}
	s.Close()
	if exists(path) {
		t.Error("Close has left the file")
	}
}

func TestUnixSocketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	mustOpen(t, 1, "unix:"+path+"?mode=0666")
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o666 {
		t.Errorf("mode is %v, want 0666", got)
	}
}

func TestDeadSocketFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s := mustOpen(t, 1, "unix:"+path)
	startWorker(t, s, 0)
	if _, err := ask(s.Addresses()[0]); err != nil {
		t.Error(err)
	}
}

func TestFileThatIsNoSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(mustParse(t, "unix:"+path), 1, Options{})
	if err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("error %v, want that it is not a socket", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestFileThatBecameSomebodyElsesStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 1, "unix:"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := mustOpen(t, 1, "unix:"+path)
	s.Close()
	if !exists(path) {
		t.Error("Close has removed the file of another")
	}
	other.Close()
	if exists(path) {
		t.Error("Close has left its own file")
	}
}

func TestFailureOfOneAddressLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	if _, err := Open(mustParse(t, "unix:"+path, "192.0.2.1:1"), 1, Options{}); err == nil {
		t.Fatal("an address that does not exist was opened")
	}
	if exists(path) {
		t.Error("the file of the first address was left")
	}
}

// A socket gets its owner and mode before anybody can connect: both are as asked for when Open returns, whatever the order
// of the options, names or ids.
func TestUnixSocketOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a socket away")
	}
	for options, want := range map[string]struct {
		mode     fs.FileMode
		uid, gid uint32
	}{
		"?group=2&mode=0640":        {0o640, 0, 2},
		"?user=1":                   {0o660, 1, 0},
		"?group=daemon":             {0o660, 0, idOfGroup(t, "daemon")},
		"?user=1&group=2&mode=0606": {0o606, 1, 2},
	} {
		path := filepath.Join(t.TempDir(), "x.sock")
		mustOpen(t, 1, "unix:"+path+options)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != want.mode || st.Uid != want.uid || st.Gid != want.gid {
			t.Errorf("%s: %v of %d:%d, want %v of %d:%d", options, info.Mode(), st.Uid, st.Gid, want.mode, want.uid, want.gid)
		}
	}
}

func idOfGroup(t *testing.T, name string) uint32 {
	t.Helper()
	_, gid, err := Address{Group: name}.owner()
	if err != nil {
		t.Skip(err)
	}
	return uint32(gid)
}

func TestUnixSocketOfNobody(t *testing.T) {
	for _, option := range []string{"user", "group"} {
		path := filepath.Join(t.TempDir(), "x.sock")
		_, err := Open(mustParse(t, "unix:"+path+"?"+option+"=no-such-one"), 1, Options{})
		if err == nil || !strings.Contains(err.Error(), `there is no `+option+` "no-such-one" here`) {
			t.Errorf("error %v", err)
		}
		if exists(path) {
			t.Error("the file was left")
		}
	}
}

// Another user who may write to the folder puts something else in place of the file: it keeps its owner.
func TestOwnerIsNotGivenThroughALink(t *testing.T) {
	folder := t.TempDir()
	precious, path := filepath.Join(folder, "precious"), filepath.Join(folder, "x.sock")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(old, path string) error{"symlink": os.Symlink, "link": os.Link} {
		if err := put(precious, path); err != nil {
			t.Fatal(err)
		}
		if err := (Address{Network: "unix", Addr: path, Mode: 0o666}).own(path); err == nil && balances {
			t.Errorf("%s: no error", name)
		}
		if info, err := os.Stat(precious); err != nil || balances && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode of the other file is %v, %v", name, info.Mode(), err)
		}
		os.Remove(path)
	}
}
