package listen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

var errBroken = errors.New("broken for a test")

// breaking is a steerer of which a method fails from some moment on.
type breaking struct {
	steerer
	as     Kind
	joins  *atomic.Bool
	steers *atomic.Bool
	closed *atomic.Bool
}

func (b breaking) kind() Kind { return b.as }

func (b breaking) join(group, slot int, socket *os.File) error {
	if b.joins.Load() {
		return errBroken
	}
	return b.steerer.join(group, slot, socket)
}

func (b breaking) steer(open []int, weights []uint8) error {
	if b.steers.Load() {
		return errBroken
	}
	return b.steerer.steer(open, weights)
}

func (b breaking) close() {
	b.closed.Store(true)
	b.steerer.close()
}

// notebook is a watcher that only takes notes.
type notebook struct {
	mu      sync.Mutex
	notices []Notice
	changes int
}

func (n *notebook) fell(notice Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notices = append(n.notices, notice)
}

func (n *notebook) changed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes++
}

func (n *notebook) end() {}

func (n *notebook) setPulse(time.Duration) {}
func (n *notebook) wake()                  {}

// clients ask all addresses until they are stopped, and count what fails.
type clients struct {
	stop   chan struct{}
	all    sync.WaitGroup
	mu     sync.Mutex
	asked  int
	failed map[string]int
}

func startClients(addrs []Address) *clients {
	c := &clients{stop: make(chan struct{}), failed: map[string]int{}}
	for i := range 4 {
		c.all.Go(func() {
			for n := i; ; n++ {
				select {
				case <-c.stop:
					return
				default:
				}
				_, err := ask(addrs[n%len(addrs)])
				c.mu.Lock()
				c.asked++
				if err != nil {
					c.failed[err.Error()]++
				}
				c.mu.Unlock()
			}
		})
	}
	return c
}

// more waits until some have been answered since the call.
func (c *clients) more(n int) error {
	c.mu.Lock()
	want := c.asked + n
	c.mu.Unlock()
	return poll(fmt.Sprintf("%d more answers", n), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.asked >= want
	})
}

func (c *clients) end() error {
	close(c.stop)
	c.all.Wait()
	if len(c.failed) > 0 {
		return fmt.Errorf("of %d connections failed: %v", c.asked, c.failed)
	}
	return nil
}

func TestFallsInTheMiddleOfConnections(t *testing.T) {
	for _, method := range []string{"join", "steer", "make"} {
		t.Run(method, func(t *testing.T) {
			var b [2]struct{ joins, steers, closed atomic.Bool }
			wrap := func(i int, as Kind) maker {
				return maker{as, func(s *Set, _ int) (steerer, error) {
					return breaking{newCBPF(len(s.groups), s.options), as, &b[i].joins, &b[i].steers, &b[i].closed}, nil
				}}
			}
			kinds := []maker{wrap(0, KindEBPF), wrap(1, KindCBPF), makers()[2]}
			if method == "make" {
				kinds = append([]maker{{KindEBPF, func(*Set, int) (steerer, error) { return nil, errBroken }}}, kinds[1:]...)
			}
			s, err := open(mustParse(t, "127.0.0.1:0", ":0"), 3, Options{Policy: Random}, false, kinds)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			notes := &notebook{}
			s.mu.Lock()
			s.observer = notes
			s.mu.Unlock()
			for slot := range 3 {
				startWorker(t, s, slot)
			}
			if err := s.SteerTo([]int{0, 2}); err != nil {
				t.Fatal(err)
			}
			c := startClients(s.Addresses())
			step := func(slot int, want Kind) {
				t.Helper()
				if err := c.more(30); err != nil {
					t.Fatal(err)
				}
				if err := s.OpenSlot(slot); err != nil {
					t.Error(err)
				}
				if n := len(s.admitted); n != slot-1 {
					t.Errorf("%d slots are admitted, want %d", n, slot-1)
				}
				w := startWorker(t, s, slot)
				if err := s.SteerTo(without(first(slot+1), 1)); err != nil {
					t.Error(err)
				}
				if err := poll("a connection to the new slot", func() bool { return w.count() > 0 }); err != nil {
					t.Error(err)
				}
				if st := s.Steering(); st.Kind != want {
					t.Errorf("kind is %s, want %s: %v", st.Kind, want, st.Notes)
				}
			}
			if method == "make" {
				step(3, KindCBPF)
			} else {
				step(3, KindEBPF)
				either(method == "join", &b[0].joins, &b[0].steers).Store(true)
				step(4, KindCBPF)
				if !b[0].closed.Load() {
					t.Error("the steerer that failed was not closed")
				}
				b[1].steers.Store(true)
				step(5, KindHash)
			}
			if err := c.end(); err != nil {
				t.Error(err)
			}
			st := s.Steering()
			text := strings.Join(st.Notes, "\n")
			if !strings.Contains(text, errBroken.Error()) || !strings.Contains(text, "ebpf") || st.Exact != (method == "make") {
				t.Errorf("steering is %+v, want what has failed", st)
			}
			if method == "make" {
				return
			}
			notes.mu.Lock()
			defer notes.mu.Unlock()
			if len(notes.notices) != 2 || notes.notices[0].Kind != KindCBPF || notes.notices[1].Kind != KindHash || notes.notices[0].What != Fell || notes.notices[0].Why == "" {
				t.Errorf("notices %+v, want the falls to cbpf and hash", notes.notices)
			}
			if notes.changes == 0 {
				t.Error("the watcher was not told of changes")
			}
		})
	}
}

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// A kind that fails when it takes over is passed by.
func TestFallsPastAKindThatFailsAtOnce(t *testing.T) {
	var broken, whole atomic.Bool
	kinds := []maker{
		{KindEBPF, func(s *Set, _ int) (steerer, error) {
			return breaking{newCBPF(len(s.groups), s.options), KindEBPF, &broken, &whole, new(atomic.Bool)}, nil
		}},
		{KindCBPF, func(s *Set, _ int) (steerer, error) {
			return breaking{newCBPF(len(s.groups), s.options), KindCBPF, &broken, &whole, new(atomic.Bool)}, nil
		}},
		makers()[2],
	}
	broken.Store(true)
	s, err := open(mustParse(t, "127.0.0.1:0"), 2, Options{}, false, kinds)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st := s.Steering(); st.Kind != KindHash || !strings.Contains(strings.Join(st.Notes, ""), errBroken.Error()) {
		t.Errorf("steering is %+v, want hash, and why", st)
	}
	for slot := range 2 {
		startWorker(t, s, slot)
	}
	if counts := askMany(t, s.Addresses()[0], 100); len(counts) != 2 {
		t.Errorf("answered by %v", counts)
	}
}

func TestBestKind(t *testing.T) {
	for _, kind := range []Kind{KindCBPF, KindHash} {
		s := mustOpenAs(t, 2, Options{Best: kind}, "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "x.sock"))
		st := s.Steering()
		if st.Kind != kind || st.Exact || len(st.Notes) != 2 {
			t.Errorf("best kind %s: steering is %+v, want two notes: on the policy and on the Unix-domain socket", kind, st)
		}
	}
	for _, o := range []Options{{Best: "auto"}, {Best: KindShared}, {Policy: "best"}} {
		if s, err := Open(mustParse(t, "127.0.0.1:0"), 2, o); err == nil {
			s.Close()
			t.Errorf("%+v was taken", o)
		}
	}
	s := mustOpenAs(t, 2, Options{}, "unix:"+filepath.Join(t.TempDir(), "x.sock"))
	if st := s.Steering(); st.Kind != KindShared || st.Exact || len(st.Notes) != 1 {
		t.Errorf("steering is %+v, want shared", st)
	}
}

// again starts this binary again as one of children, with what attr says, and returns what it prints.
func again(t *testing.T, name string, attr *syscall.SysProcAttr) (output []byte, err error) {
	t.Helper()
	// Where another user may not read the binary, a copy.
	folder, err := os.MkdirTemp("", "listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "test")
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if e := to.Close(); err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*eventually.Patience())
	defer cancel()
	c := exec.CommandContext(ctx, path)
	c.Env = append(os.Environ(), childVar+"="+name)
	c.Dir, c.SysProcAttr, c.Stderr = "/", attr, os.Stderr
	return c.Output()
}

func init() {
	children["steer"] = steerInChild
	children["refuse"] = refuseInChild
	children["probe"] = func() error { return json.NewEncoder(os.Stdout).Encode(Probe()) }
}

// steerInChild opens a set, keeps a slot out of it, and prints how it steers.
func steerInChild() error {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}, {Network: "tcp", Addr: ":0"}}, 3, Options{Policy: Random})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SteerTo([]int{0, 2}); err != nil {
		return err
	}
	for _, a := range s.Addresses() {
		_, port, _ := net.SplitHostPort(a.Addr)
		for range 20 {
			c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, eventually.Patience())
			if err != nil {
				return err
			}
			defer c.Close()
		}
	}
	if n, err := s.Queue(1); n != 0 || err != nil {
		return fmt.Errorf("slot 1 has %d connections, %w", n, err)
	}
	return json.NewEncoder(os.Stdout).Encode(s.Steering())
}

func wantSteering(t *testing.T, output []byte, err error, kind Kind) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var st Steering
	if err := json.Unmarshal(output, &st); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if st.Kind != kind || len(st.Notes) == 0 {
		t.Errorf("steering is %+v, want %s, and why", st, kind)
	}
	t.Logf("%+v", st)
}

func TestSteersAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root to become another user")
	}
	output, err := again(t, "steer", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	wantSteering(t, output, err, KindCBPF)
}

func TestSteersInAUserNamespace(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	output, err := again(t, "steer", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("NOT TESTED: no user namespace: %v", err)
	}
	wantSteering(t, output, err, KindCBPF)
}

func TestProbesAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root to become another user")
	}
	output, err := again(t, "probe", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var found []Capability
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, c := range found {
		want, known := map[string]bool{"ebpf": false, "cbpf": true, "hash": true, "cap_bpf": false, "tcp_info": true}[c.Name]
		if known && c.OK != want {
			t.Errorf("as the user nobody: %+v, want %v", c, want)
		}
		if !c.OK {
			t.Logf("%+v", c)
		}
	}
}

const cannotRefuse = "NOT TESTED"

// TestSystemCallsAreRefusedInTheMiddle takes bpf(2), then classic programs too, from a process that steers, as a
// container's filter does.
func TestSystemCallsAreRefusedInTheMiddle(t *testing.T) {
	output, err := again(t, "refuse", nil)
	if strings.HasPrefix(string(output), cannotRefuse) {
		t.Skip(string(output))
	}
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	t.Logf("%s", output)
}

func refuseInChild() error {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}, {Network: "tcp", Addr: ":0"}}, 2, Options{Policy: Random})
	if err != nil {
		return err
	}
	kind := s.Steering().Kind
	if kind != KindEBPF {
		fmt.Println(cannotRefuse, "ebpf cannot be had:", s.Steering().Notes)
		return nil
	}
	var workers [5]*worker
	for slot := range 2 {
		workers[slot] = &worker{slot: byte(slot)}
		if err := workers[slot].start(s); err != nil {
			return err
		}
	}
	c := startClients(s.Addresses())
	for slot := 2; slot < 5; slot++ {
		if err := c.more(30); err != nil {
			return err
		}
		switch slot {
		case 3:
			err = refuse(unix.SYS_BPF, 0)
		case 4:
			err = refuse(unix.SYS_SETSOCKOPT, unix.SO_ATTACH_REUSEPORT_CBPF)
		}
		if err != nil {
			fmt.Println(cannotRefuse, err)
			return nil
		}
		if err := s.OpenSlot(slot); err != nil {
			return err
		}
		workers[slot] = &worker{slot: byte(slot)}
		if err := workers[slot].start(s); err != nil {
			return err
		}
		if err := s.SteerTo(first(slot + 1)); err != nil {
			return err
		}
		if err := poll("connections to all slots", func() bool {
			for _, w := range workers[:slot+1] {
				if w.count() < 5*slot {
					return false
				}
			}
			return true
		}); err != nil {
			return err
		}
		want := []Kind{KindEBPF, KindCBPF, KindHash}[slot-2]
		if st := s.Steering(); st.Kind != want {
			return fmt.Errorf("with %d slots: %+v, want %s", slot+1, st, want)
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	// Without any program slots still come and go.
	workers[4].stop()
	if err := s.CloseSlot(4); err != nil {
		return err
	}
	if err := s.OpenSlot(4); err != nil {
		return err
	}
	workers[4] = &worker{slot: 4}
	if err := workers[4].start(s); err != nil {
		return err
	}
	for range 50 {
		if _, err := ask(s.Addresses()[0]); err != nil {
			return err
		}
	}
	fmt.Printf("%d connections, none failed; %+v\n", c.asked, s.Steering())
	return nil
}

// refuse installs a filter on all threads that answers a system call with EPERM: if option is not 0, with that third
// argument only.
func refuse(call, option uint32) error {
	// The offsets of nr and args[2] in struct seccomp_data of linux/seccomp.h.
	const number, third = 0, 32
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: third},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: option, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if option == 0 {
		filter = append(filter[:1:1], unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1}, filter[4], filter[5])
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil && os.Geteuid() != 0 {
		return fmt.Errorf("cannot give up new privileges: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("cannot install a filter: %w", errno)
	}
	return nil
}
