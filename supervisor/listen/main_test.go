package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// children are what this binary does instead of its tests when it is started again, by the name in childVar.
var children = map[string]func() error{}

const childVar = "LISTEN_TEST_CHILD"

func TestMain(m *testing.M) {
	name := os.Getenv(childVar)
	if name == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := children[name](); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func mustOpen(t *testing.T, slots int, addrs ...string) *Set {
	t.Helper()
	return mustOpenAs(t, slots, Options{}, addrs...)
}

func mustOpenAs(t *testing.T, slots int, o Options, addrs ...string) *Set {
	t.Helper()
	s, err := Open(mustParse(t, addrs...), slots, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustParse(t *testing.T, addrs ...string) (as []Address) {
	t.Helper()
	for _, text := range addrs {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	return as
}

func listeners(t *testing.T, s *Set, slot int) []net.Listener {
	t.Helper()
	ls, err := listenersOf(s, slot)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

// listenersOf makes what a worker makes of the sockets it is given.
func listenersOf(s *Set, slot int) (ls []net.Listener, err error) {
	_, files, err := s.Share(slot)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// adopt takes a Set over as a next master does that may begin at once.
func adopt(saved Saved, files map[string]*os.File, o Options) (*Set, error) {
	s, err := Prepare(saved, files, o)
	if err == nil {
		s.Begin()
	}
	return s, err
}

// worker answers one byte, the number of its slot, to each connection. It counts on the board as a native one does.
type worker struct {
	slot      byte
	listeners []net.Listener
	accepting sync.WaitGroup
	mu        sync.Mutex
	answered  int
	lost      int // connections that it could not answer
}

func startWorker(t *testing.T, s *Set, slot int) *worker {
	t.Helper()
	w := &worker{slot: byte(slot)}
	if err := w.start(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	return w
}

func (w *worker) start(s *Set) (err error) { return w.startOn(s, s.Board()) }

// startOn is for a board of the worker's own, as a process has it.
func (w *worker) startOn(s *Set, board *ipc.Board) (err error) {
	if w.listeners, err = listenersOf(s, int(w.slot)); err != nil {
		return err
	}
	line := board.Line(int(w.slot))
	for _, l := range w.listeners {
		w.accepting.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				line.Accepted[0].Add(1)
				line.AcceptedAt.Store(ipc.Monotonic())
				line.Released[0].Add(ipc.Weight) // before the client can know
				_, err = c.Write([]byte{w.slot})
				c.Close()
				w.mu.Lock()
				if err != nil {
					w.lost++
				} else {
					w.answered++
				}
				w.mu.Unlock()
			}
		})
	}
	return nil
}

func (w *worker) stop() {
	for _, l := range w.listeners {
		l.Close()
	}
	w.accepting.Wait()
}

func (w *worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered
}

// ask connects and returns the slot that answered.
func ask(a Address) (slot int, err error) {
	network, addr := a.Network, a.Addr
	if host, port, e := net.SplitHostPort(addr); e == nil && host == "" {
		addr = net.JoinHostPort(map[bool]string{true: "::1", false: "127.0.0.1"}[network == "tcp6"], port)
	}
	c, err := net.DialTimeout(network, addr, eventually.Patience())
	if err != nil {
		return -1, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(eventually.Patience()))
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		return -1, err
	}
	return int(b[0]), nil
}

func askMany(t *testing.T, a Address, n int) map[int]int {
	t.Helper()
	counts := map[int]int{}
	for range n {
		slot, err := ask(a)
		if err != nil {
			t.Fatal(err)
		}
		counts[slot]++
	}
	return counts
}

// poll is eventually.True for a process that plays a role, which has no test.
func poll(what string, ok func() bool) error {
	over := time.After(eventually.Patience())
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for !ok() {
		select {
		case <-pace.C:
		case <-over:
			return fmt.Errorf("not within %s: %s", eventually.Patience(), what)
		}
	}
	return nil
}

func needBalance(t *testing.T) {
	t.Helper()
	if !balances {
		t.Skip("SO_REUSEPORT does not balance on this system: slots share their sockets")
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	l.Close()
}

// lookFor changes how long the holders of an address are looked for until the end of the test.
func lookFor(t *testing.T, d time.Duration) {
	t.Helper()
	before := lookTimeout
	lookTimeout = d
	t.Cleanup(func() { lookTimeout = before })
}

func wantInUse(t *testing.T, err error) *InUseError {
	t.Helper()
	var used *InUseError
	if !errors.As(err, &used) {
		t.Fatalf("got error %v, want an InUseError", err)
	}
	return used
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
