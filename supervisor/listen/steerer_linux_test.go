package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen/bpf"
)

func TestAllSlotsGetConnectionsFromTheStart(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		s := mustOpen(t, n, "127.0.0.1:0", ":0")
		for slot := range n {
			startWorker(t, s, slot)
		}
		for _, a := range s.Addresses() {
			if counts := askMany(t, a, 60); len(counts) != n {
				t.Errorf("%s was answered by %v, want %d slots", a, counts, n)
			}
		}
	}
}

func TestSteer(t *testing.T) {
	s := mustOpen(t, 4, "127.0.0.1:0", ":0")
	for slot := range 4 {
		startWorker(t, s, slot)
	}
	for _, n := range []int{4, 1, 3, 2, 0, 9} {
		if err := s.SteerTo(first(n)); err != nil {
			t.Fatal(err)
		}
		want := min(n, 4)
		if n == 0 {
			want = 4 // none that is open: all
		}
		for _, a := range s.Addresses() {
			counts := askMany(t, a, 60)
			for slot := range counts {
				if slot >= want {
					t.Errorf("steered to %d: %s was answered by %v", n, a, counts)
				}
			}
			if len(counts) != want {
				t.Errorf("steered to %d: %s was answered by %v, want %d slots", n, a, counts, want)
			}
		}
	}
}

// Of several that start at the same moment exactly one may win: with SO_REUSEPORT set from the beginning all would.
func TestOneOfManyWins(t *testing.T) {
	lookFor(t, 0)
	free := mustOpen(t, 1, "127.0.0.1:0")
	addr := free.Addresses()[0]
	free.Close()
	for round := range 20 {
		var mu sync.Mutex
		var won []*Set
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 4 {
			all.Go(func() {
				<-begin
				s, err := Open([]Address{addr}, 2, Options{})
				if err != nil {
					var used *InUseError
					if !errors.As(err, &used) {
						t.Errorf("got error %v, want an InUseError", err)
					}
					return
				}
				mu.Lock()
				won = append(won, s)
				mu.Unlock()
			})
		}
		close(begin)
		all.Wait()
		for _, s := range won {
			s.Close()
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d have the address, want 1", round, len(won))
		}
	}
}

// Another program that shares by SO_REUSEPORT is in the way like any other.
func TestGroupOfAnotherIsInTheWay(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
				if err := setFlag(int(fd), unix.SOL_SOCKET, option, true); err != nil {
					t.Error(err)
				}
			}
		})
	}}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(mustParse(t, l.Addr().String()), 2, Options{})
	wantInUse(t, err)
}

func TestIndexIsTheOrderOfListen(t *testing.T) {
	s := mustOpen(t, 4, "127.0.0.1:0")
	for slot := range 4 {
		startWorker(t, s, slot)
	}
	for slot := range 4 {
		// A program that returns one index.
		err := ipc.Control(s.groups[0].socket(0), func(fd int) error {
			program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: uint32(slot)}}
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &program[0]})
		})
		if err != nil {
			t.Fatal(err)
		}
		if counts := askMany(t, s.Addresses()[0], 20); counts[slot] != 20 {
			t.Errorf("index %d was answered by %v", slot, counts)
		}
	}
}

func TestNewSlotGetsNothingBeforeItIsAdmitted(t *testing.T) {
	for _, begun := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(begun), func(t *testing.T) {
			s := mustOpen(t, begun, "127.0.0.1:0")
			for slot := range begun {
				startWorker(t, s, slot)
			}
			if err := s.OpenSlot(begun); err != nil {
				t.Fatal(err)
			}
			if err := s.OpenSlot(begun + 1); err != nil {
				t.Fatal(err)
			}
			if counts := askMany(t, s.Addresses()[0], 60); len(counts) != begun {
				t.Errorf("answered by %v, want %d slots", counts, begun)
			}
			for slot := begun; slot < begun+2; slot++ {
				if n, err := s.Queue(slot); err != nil || n != 0 {
					t.Errorf("%d connections wait in slot %d, %v; want none", n, slot, err)
				}
				startWorker(t, s, slot)
			}
			if err := s.SteerTo(first(begun + 2)); err != nil {
				t.Fatal(err)
			}
			if counts := askMany(t, s.Addresses()[0], 100); len(counts) != begun+2 {
				t.Errorf("answered by %v, want %d slots", counts, begun+2)
			}
		})
	}
}

// The kernel lets a program be attached before a second socket joins: that is what keeps the second one out from its
// first moment.
func TestFirstSocketHasAGroup(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	if err := attach(s.groups[0].socket(0), bpf.First()); err != nil {
		t.Skipf("this kernel needs a second socket first, and a connection may reach it early: %v", err)
	}
}

func TestClosingTheLastKeepsTheRest(t *testing.T) {
	s := mustOpen(t, 4, "127.0.0.1:0")
	var ws []*worker
	for slot := range 4 {
		ws = append(ws, startWorker(t, s, slot))
	}
	for slot := 3; slot > 0; slot-- {
		if err := s.SteerTo(first(slot)); err != nil {
			t.Fatal(err)
		}
		ws[slot].stop()
		if err := s.CloseSlot(slot); err != nil {
			t.Fatal(err)
		}
		for n := slot; n > 0; n-- {
			if err := s.SteerTo(first(n)); err != nil {
				t.Fatal(err)
			}
			if counts := askMany(t, s.Addresses()[0], 40); len(counts) != n || counts[0] == 0 {
				t.Errorf("%d slots steered to %d: answered by %v", slot, n, counts)
			}
		}
	}
}

func TestSocketsAreNonBlockingAndCloseOnExec(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "x.sock"))
	_, files := s.files(1)
	_, dups, err := s.Share(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(dups, files...) {
		err := ipc.Control(f, func(fd int) error {
			status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || status&unix.O_NONBLOCK == 0 {
				t.Errorf("%s blocks: flags %#x, %v", f.Name(), status, err)
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s is inherited: flags %#x, %v", f.Name(), flags, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, f := range dups {
		f.Close()
	}
}

// Connections must not wake the supervisor: none of its sockets may be in the poller of its runtime.
func TestSocketsAreNotInThePoller(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "x.sock"))
	_, files := s.files(1)
	_, dups, err := s.Share(1)
	if err != nil {
		t.Fatal(err)
	}
	// One that is in it, to see that the test can tell.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var known int
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { known = int(fd) })

	polled := pollerTargets(t)
	if !polled[known] {
		t.Fatalf("descriptor %d of a net.Listener is not in the poller: the test sees nothing", known)
	}
	for _, f := range append(files, dups...) {
		ipc.Control(f, func(fd int) error {
			if polled[fd] {
				t.Errorf("%s is in the poller", f.Name())
			}
			return nil
		})
	}
	for _, f := range dups {
		f.Close()
	}
}

func pollerTargets(t *testing.T) map[int]bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[int]bool{}
	for _, e := range fds {
		link, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.Contains(link, "eventpoll") {
			continue
		}
		text, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var fd int
			if _, err := fmt.Sscanf(line, "tfd: %d", &fd); err == nil {
				targets[fd] = true
			}
		}
	}
	return targets
}

func TestNoRightToThePort(t *testing.T) {
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if strings.TrimSpace(string(text)) == "0" {
		t.Skip("every port is free to every user here")
	}
	asNobody(t, func() {
		_, err := Open(mustParse(t, "127.0.0.1:81"), 1, Options{})
		if err == nil || !strings.Contains(err.Error(), "cannot listen on 127.0.0.1:81: permission denied (a port below 1024") {
			t.Errorf("error %v, want that the permission is missing", err)
		}
	})
}

// When a supervisor was killed its workers still hold the address: the next one says who they are.
func TestHoldersAreTheWorkersOfADeadSupervisor(t *testing.T) {
	lookFor(t, eventually.Patience())
	path := filepath.Join(t.TempDir(), "x.sock")
	s := mustOpen(t, 1, "127.0.0.1:0", "unix:"+path)
	addrs := s.Addresses()
	_, files, err := s.Share(0)
	if err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("sleep", "1000")
	orphan.ExtraFiles = files
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	defer orphan.Wait()
	defer orphan.Process.Kill()
	for _, f := range files {
		f.Close()
	}
	keep := filepath.Join(filepath.Dir(path), "kept.sock")
	if err := os.Link(path, keep); err != nil { // a supervisor that is killed does not remove it
		t.Fatal(err)
	}
	s.Close()
	if err := os.Rename(keep, path); err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		_, err := Open([]Address{a}, 1, Options{})
		used := wantInUse(t, err)
		want := Holder{PID: orphan.Process.Pid, Name: "sleep"}
		if len(used.Holders) != 1 || used.Holders[0] != want {
			t.Errorf("%s: holders are %v, want %v", a, used.Holders, want)
		}
		if text := fmt.Sprintf("cannot listen on %s: address already in use by sleep (PID %d)", a, want.PID); err.Error() != text {
			t.Errorf("error %q, want %q", err, text)
		}
	}
}

func TestHolderOfAnotherUser(t *testing.T) {
	lookFor(t, eventually.Patience())
	s := mustOpen(t, 1, "127.0.0.1:0")
	asNobody(t, func() {
		_, err := Open(s.Addresses(), 1, Options{})
		used := wantInUse(t, err)
		if len(used.Holders) == 0 && !strings.Contains(err.Error(), "user id 0, which user id 65534 may not see") {
			t.Errorf("error %v, want whose it is and that it cannot be seen", err)
		}
	})
}

// asNobody runs do on a thread whose effective user is not root.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root to become another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			t.Errorf("cannot become another user: %v", errno)
			return
		}
		do()
	}()
	<-done
}

func BenchmarkSteer(b *testing.B) {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 4, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := 0; b.Loop(); i++ {
		if err := s.SteerTo(first(1 + i%4)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 4, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if _, err := s.Queue(3); err != nil {
			b.Fatal(err)
		}
	}
}
