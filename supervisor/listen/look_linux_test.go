package listen

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// mustSee looks once and wants each address to be judged so; "" is reachable.
func mustSee(t *testing.T, s *Set, want ...string) []Sight {
	t.Helper()
	all := s.Look(nil)
	if len(all) != len(want) {
		t.Fatalf("%d addresses are seen, want %d: %+v", len(all), len(want), all)
	}
	for i, sight := range all {
		if !strings.Contains(sight.Why, want[i]) || (sight.Why == "") != (want[i] == "") {
			t.Errorf("%s: %q, want %q", sight.Address, sight.Why, want[i])
		}
	}
	return all
}

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 3, "127.0.0.1:0", ":0", "tcp4://:0", "tcp6://:0", "[::1]:0", "localhost:0", "unix:"+path)
	mustSee(t, s, "", "", "", "", "", "", "")
	n, err := s.Queue(0)
	if err != nil || n != 0 {
		t.Errorf("a look has left %d connections in the queue, %v", n, err)
	}
	for s.Slots() > 0 {
		if err := s.CloseSlot(s.Slots() - 1); err != nil {
			t.Fatal(err)
		}
	}
	mustSee(t, s)
}

// A shared socket, as for MPTCP or on macOS, and one that was given.
func TestLookAtSharedAndGiven(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", multipathAddress} {
		f, held := socketOfSystemd(t, "tcp", address, false)
		s := mustOpenAs(t, 2, Options{Given: []*Given{mustTake(t, f)}}, held.Addr().String())
		mustSee(t, s, "")
	}
	path := filepath.Join(t.TempDir(), "x.sock")
	f, _ := socketOfSystemd(t, "unix", path, false)
	s := mustOpenAs(t, 2, Options{Given: []*Given{mustTake(t, f)}}, "unix:"+path)
	mustSee(t, s, "")
	os.Remove(path)
	if all := mustSee(t, s, "must open it again"); all[0].Lost {
		t.Error("it is to be made again")
	}
}

// A worker that shuts a socket down does so for everybody.
func TestLookAtSocketsThatAreShutDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 1, "127.0.0.1:0", "unix:"+path)
	for _, g := range s.groups {
		if err := ipc.Control(g.sockets[0], func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }); err != nil {
			t.Fatal(err)
		}
	}
	mustSee(t, s, "no socket of it listens any more", "the socket listens no more")
	if mended := s.Mend(0); len(mended) != 2 {
		t.Errorf("%+v", mended)
	}
	mustSee(t, s, "", "")
}

func mustRenew(t *testing.T, s *Set, index int) {
	t.Helper()
	r, err := s.Renew(index)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := s.Install(r, "it was gone")
	if !ok || m.Slot != AllSlots || m.Why != "it was gone" || len(m.New) != 1 || s.Files()[m.New[0]] == nil {
		t.Fatalf("%+v, %t", m, ok)
	}
}

// startWorkerOn accepts at one address what a client sends there.
func startWorkerOn(t *testing.T, s *Set, index int) {
	t.Helper()
	_, files, err := s.Share(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		defer f.Close()
	}
	ln, err := net.FileListener(files[index])
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := s.Addresses()[index]
	client, err := net.Dial(a.Network, a.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A stranger of the same user can join a group of sockets once it is open. It gets what comes if the others have closed.
func TestLookFindsWhoElseListens(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	f, _ := socketOfSystemd(t, "tcp4", s.Addresses()[0].Addr, true)
	defer f.Close()
	mustSee(t, s, "") // it has its share only
	all := map[uint64]bool{}
	why, mark := s.groups[0].at.lookUp(all, Sight{})
	if !strings.Contains(why, "go elsewhere: address already in use by this process itself") {
		t.Errorf("%q", why)
	}
	if again, _ := s.groups[0].at.lookUp(all, Sight{Why: "known", mark: mark}); again != "known" {
		t.Errorf("who is in the way is searched for again: %q", again)
	}
}

func TestLookAtAFileThatIsGone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "x.sock")
	s := mustOpen(t, 2, "unix:"+path+"?mode=0642")
	os.Remove(path)
	if all := mustSee(t, s, "is gone"); !all[0].Lost {
		t.Error("it is not to be made again")
	}
	mustRenew(t, s, 0)
	mustSee(t, s, "")
	startWorkerOn(t, s, 0)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o642 {
		t.Errorf("%v, %v; want the mode that it had", info, err)
	}

	// Another name for it is as good, if the path leads there.
	if err := errors.Join(os.Rename(path, path+".moved"), os.Symlink("x.sock.moved", path)); err != nil {
		t.Fatal(err)
	}
	mustSee(t, s, "")
	os.Remove(path)

	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if all := mustSee(t, s, "is something else now"); all[0].Lost {
		t.Error("a file that is not a socket is to be replaced")
	}
	os.RemoveAll(folder)
	if all := mustSee(t, s, "the folder "+folder+" is gone"); all[0].Lost {
		t.Error("there is no folder to make it in")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	mustSee(t, s, "is gone")
	mustRenew(t, s, 0)
	s.Close()
	if exists(path) {
		t.Error("Close has left the file")
	}
}

// A socket of another process at the path: as long as it listens it stays, and its holder is told.
func TestLookAtAFileThatWasReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 1, "unix:"+path)
	os.Remove(path)
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	other.(*net.UnixListener).SetUnlinkOnClose(false)
	all := mustSee(t, s, "is the socket of another process now")
	if again := s.Look(all); !again[0].Same(all[0]) {
		t.Errorf("%+v and then %+v", all, again)
	}
	_, err = s.Renew(0)
	wantInUse(t, err)
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other one is disturbed: %v", err)
	} else {
		c.Close()
	}
	other.Close()
	mustRenew(t, s, 0)
	startWorkerOn(t, s, 0)
}

// What was made for a Set that has closed meanwhile leaves nothing.
func TestRenewalComesTooLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 1, "unix:"+path)
	os.Remove(path)
	r, err := s.Renew(0)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, ok := s.Install(r, ""); ok || exists(path) {
		t.Error("the file is left")
	}
	if _, err := s.Renew(0); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
}

// An adopted Set looks as the one that it was, and what was made anew is adopted too.
func TestLookAfterAdoption(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 2, "127.0.0.1:0", "unix:"+path)
	os.Remove(path)
	mustRenew(t, s, 1)
	next, err := adopt(s.Save(), s.Files(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Close)
	mustSee(t, next, "", "")
	os.Remove(path)
	mustRenew(t, next, 1)
	mustSee(t, next, "", "")
	s.Leave()
}

func BenchmarkLook(b *testing.B) {
	for name, c := range map[string]struct {
		slots     int
		addresses []string
	}{"tcp": {2, []string{"127.0.0.1:0"}}, "tcp of 64 slots": {64, []string{":0"}}, "unix": {2, []string{"unix:" + filepath.Join(b.TempDir(), "x")}}} {
		b.Run(name, func(b *testing.B) {
			var all []Address
			for _, text := range c.addresses {
				a, err := Parse(text)
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, a)
			}
			s, err := Open(all, c.slots, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				for _, sight := range s.Look(nil) {
					if sight.Why != "" {
						b.Fatal(sight.Why)
					}
				}
			}
		})
	}
}

// A Set without slots has given its port up, and another process has taken it: the message says so for each slot, also for those
// that wait for the first.
func TestSlotsWaitForThePortThatAnotherHas(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	if err := s.CloseSlot(0); err != nil {
		t.Fatal(err)
	}
	address := s.Addresses()[0].Addr
	other, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	for slot, want := range []string{"cannot open slot 0: ", "cannot open slot 1: it waits for slot 0: "} {
		err := s.OpenSlot(slot)
		wantInUse(t, err)
		if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "(PID ") {
			t.Errorf("%v", err)
		}
	}
	_, err = net.Listen("tcp", address)
	wantInUse(t, InUse(err, address))
	other.Close()
	for slot := range 2 {
		if err := s.OpenSlot(slot); err != nil {
			t.Error(err)
		}
	}
}
