package listen

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestOnePortForAllSlots(t *testing.T) {
	s := mustOpen(t, 4, "127.0.0.1:0", "tcp4://127.0.0.1:0")
	for i, a := range s.Addresses() {
		_, port, err := net.SplitHostPort(a.Addr)
		if err != nil || port == "0" {
			t.Fatalf("address %d is %s, want a real port", i, a)
		}
		for slot := range 4 {
			ls, files := s.files(slot)
			if len(ls) != 2 || len(files) != 2 {
				t.Fatalf("slot %d has %d listeners and %d files, want 2", slot, len(ls), len(files))
			}
			if ls[i].Address != a.Addr || ls[i].Network != a.Network {
				t.Errorf("slot %d says %+v, want %+v", slot, ls[i], a)
			}
			l, err := net.FileListener(files[i])
			if err != nil {
				t.Fatal(err)
			}
			if l.Addr().String() != a.Addr {
				t.Errorf("slot %d listens on %s, want %s", slot, l.Addr(), a)
			}
			l.Close()
		}
	}
}

func TestSlotsAreOpenedInOrderAndClosedLastFirst(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	for _, c := range []struct {
		name string
		do   func() error
		ok   bool
		want int
	}{
		{"open a slot that is open", func() error { return s.OpenSlot(1) }, true, 2},
		{"open with a gap", func() error { return s.OpenSlot(3) }, false, 2},
		{"open a negative slot", func() error { return s.OpenSlot(-1) }, false, 2},
		{"open the next", func() error { return s.OpenSlot(2) }, true, 3},
		{"close one in the middle", func() error { return s.CloseSlot(1) }, false, 3},
		{"close one that is not open", func() error { return s.CloseSlot(3) }, false, 3},
		{"close the last", func() error { return s.CloseSlot(2) }, true, 2},
		{"close the last", func() error { return s.CloseSlot(1) }, true, 1},
		{"close slot 0", func() error { return s.CloseSlot(0) }, true, 0},
		{"close when there is none", func() error { return s.CloseSlot(-1) }, false, 0},
		{"open slot 0 again", func() error { return s.OpenSlot(0) }, true, 1},
	} {
		if err := c.do(); (err == nil) != c.ok || s.Slots() != c.want {
			t.Fatalf("%s: error %v, %d slots; want success %v, %d slots", c.name, err, s.Slots(), c.ok, c.want)
		}
	}
	w := startWorker(t, s, 0)
	if slot, err := ask(s.Addresses()[0]); err != nil || slot != 0 {
		t.Errorf("after slot 0 was given up and taken again: answered by %d, %v", slot, err)
	}
	w.stop()
	if ls, files := s.files(1); ls != nil || files != nil {
		t.Errorf("a slot that is not open has files: %v", ls)
	}
	s.Close()
	if err := s.OpenSlot(0); !errors.Is(err, errClosed) {
		t.Errorf("OpenSlot after Close: %v, want %v", err, errClosed)
	}
	if err := s.SteerTo(first(1)); !errors.Is(err, errClosed) {
		t.Errorf("Steer after Close: %v, want %v", err, errClosed)
	}
	s.Close()
}

func TestFamilies(t *testing.T) {
	needIPv6(t)
	for _, c := range []struct {
		addr   string
		v4, v6 bool
	}{
		{":0", true, true},
		{"[::]:0", true, true},
		{"0.0.0.0:0", true, false},
		{"tcp4://:0", true, false},
		{"tcp6://:0", false, true},
		{"[::1]:0", false, true},
		{"localhost:0", true, false},
	} {
		t.Run(c.addr, func(t *testing.T) {
			s := mustOpen(t, 2, c.addr)
			defer startWorker(t, s, 0).stop()
			defer startWorker(t, s, 1).stop()
			_, port, _ := net.SplitHostPort(s.Addresses()[0].Addr)
			for host, want := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
				_, err := ask(Address{Network: "tcp", Addr: net.JoinHostPort(host, port)})
				if (err == nil) != want {
					t.Errorf("from %s: %v, want success %v", host, err, want)
				}
			}
		})
	}
}

func TestBothFamiliesOnOnePortApart(t *testing.T) {
	needIPv6(t)
	four := mustOpen(t, 1, "tcp4://127.0.0.1:0")
	_, port, _ := net.SplitHostPort(four.Addresses()[0].Addr)
	six := mustOpen(t, 2, "tcp6://[::1]:"+port)
	if n := six.Slots(); n != 2 {
		t.Errorf("%d slots, want 2", n)
	}
}

func TestNobodyElseHasTheAddress(t *testing.T) {
	lookFor(t, eventually.Patience())
	s := mustOpen(t, 2, "127.0.0.1:0")
	addr := s.Addresses()[0].String()
	_, port, _ := net.SplitHostPort(addr)
	for _, other := range []string{addr, ":" + port, "tcp4://:" + port, "0.0.0.0:" + port} {
		began := time.Now()
		_, err := Open(mustParse(t, "127.0.0.1:0", other), 2, Options{})
		used := wantInUse(t, err)
		if took := time.Since(began); took > eventually.Patience()/3 {
			t.Errorf("%s: refused after %s, want under a second", other, took)
		}
		if !strings.Contains(err.Error(), port) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %q, want one line with the address", other, err)
		}
		if balances && (len(used.Holders) != 1 || used.Holders[0].PID != os.Getpid() || used.Holders[0].Name == "") {
			t.Errorf("%s: holders %v, want this process", other, used.Holders)
		}
	}
	// The failed ones have left nothing behind.
	s.Close()
	again, err := Open(mustParse(t, addr), 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestPlainListenerIsInTheWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(mustParse(t, l.Addr().String()), 4, Options{})
	wantInUse(t, err)
}

func TestTimeWaitIsNotInTheWay(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	addr := s.Addresses()[0]
	w, v := startWorker(t, s, 0), startWorker(t, s, 1)
	askMany(t, addr, 20) // the workers close first
	w.stop()
	v.stop()
	s.Close()
	again, err := Open([]Address{addr}, 2, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestBadAddressesAreToldInOneLine(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:7000":            "no network interface here has 192.0.2.1",
		"[fe80::1%nosuch]:7000":     `interface "nosuch": there is no such network interface`,
		"unix:/nosuchfolder/x.sock": "no such file",
	} {
		began := time.Now()
		_, err := Open(mustParse(t, addr), 1, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cannot listen on "+addr) {
			t.Errorf("%s: error %v, want %q", addr, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", addr, err)
		}
		if took := time.Since(began); took > eventually.Patience()/3 {
			t.Errorf("%s: took %s", addr, took)
		}
	}
	if _, err := Open(mustParse(t, ":0"), 0, Options{}); err == nil {
		t.Error("a set without slots was opened")
	}
}

func TestQueueSurvivesTheWorker(t *testing.T) {
	needBalance(t)
	const clients = 400
	s := mustOpen(t, 4, "127.0.0.1:0")
	addr := s.Addresses()[0]
	// Workers that hold the sockets and accept nothing.
	var dying []net.Listener
	for slot := range 4 {
		dying = append(dying, listeners(t, s, slot)...)
	}
	var answers sync.WaitGroup
	failed := make(chan error, clients)
	for range clients {
		c, err := net.DialTimeout("tcp", addr.Addr, eventually.Patience())
		if err != nil {
			t.Fatal(err)
		}
		answers.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(eventually.Patience()))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				failed <- err
			}
		})
	}
	total := 0
	for slot := range 4 {
		n, err := s.Queue(slot)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != clients {
		t.Errorf("%d connections are queued, want %d", total, clients)
	}
	for _, l := range dying {
		l.Close()
	}
	for slot := range 4 {
		startWorker(t, s, slot)
	}
	answers.Wait()
	close(failed)
	n := 0
	for range failed {
		n++
	}
	if n > 0 {
		t.Errorf("%d of %d queued connections were lost", n, clients)
	}
}

func TestSharedSlots(t *testing.T) {
	s, err := open(mustParse(t, "127.0.0.1:0"), 2, Options{}, true, makers())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := s.Addresses()[0]
	if !s.groups[0].shared {
		t.Error("each slot has a socket of its own")
	}
	if err := s.OpenSlot(2); err != nil {
		t.Fatal(err)
	}
	if err := s.SteerTo(first(1)); err != nil {
		t.Fatal(err)
	}
	last := startWorker(t, s, 2)
	if slot, err := ask(addr); err != nil || slot != 2 {
		t.Errorf("answered by %d, %v; want the only one that accepts, 2", slot, err)
	}
	last.stop()
	if err := s.CloseSlot(2); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", addr.Addr, eventually.Patience())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually.True(t, "a connection in the queue", func() bool { n, err := s.Queue(1); return err == nil && n == 1 })
	startWorker(t, s, 0)
	if slot, err := ask(addr); err != nil || slot != 0 {
		t.Errorf("answered by %d, %v; want 0", slot, err)
	}
	_, err = Open([]Address{addr}, 1, Options{})
	wantInUse(t, err)
}

func TestScaleUnderLoad(t *testing.T) {
	needBalance(t)
	s := mustOpen(t, 2, "127.0.0.1:0", ":0")
	addrs := s.Addresses()
	workers := []*worker{startWorker(t, s, 0), startWorker(t, s, 1)}

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	asked, lost := 0, map[string]int{}
	for i := range 4 {
		clients.Go(func() {
			for tick := time.NewTicker(2 * time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
				}
				_, err := ask(addrs[i%2])
				mu.Lock()
				asked++
				if err != nil {
					lost[err.Error()]++
				}
				mu.Unlock()
			}
		})
	}
	for range 3 {
		for slot := 2; slot < 8; slot++ {
			if err := s.OpenSlot(slot); err != nil {
				t.Fatal(err)
			}
			workers = append(workers, startWorker(t, s, slot))
		}
		if err := s.SteerTo(first(8)); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "all slots answer", func() bool {
			for _, w := range workers {
				if w.count() == 0 {
					return false
				}
			}
			return true
		})
		if err := s.SteerTo(first(2)); err != nil {
			t.Fatal(err)
		}
		for slot := 7; slot >= 2; slot-- {
			empty := 0
			eventually.True(t, "the queue is empty", func() bool {
				if n, err := s.Queue(slot); err != nil || n > 0 {
					empty = 0
				} else {
					empty++
				}
				return empty >= 5 // several ms: a handshake that was under way has come through
			})
			workers[slot].stop()
			if err := s.CloseSlot(slot); err != nil {
				t.Fatal(err)
			}
		}
		workers = workers[:2]
	}
	close(stop)
	clients.Wait()
	if len(lost) > 0 {
		t.Errorf("lost of %d connections: %v", asked, lost)
	}
	if asked < 100 {
		t.Errorf("only %d connections were made: the test has shown little", asked)
	}
	t.Logf("%d connections, %d lost", asked, len(lost))
}

func TestManySlots(t *testing.T) {
	s := mustOpen(t, 64, "127.0.0.1:0")
	if got := s.Slots(); got != 64 {
		t.Errorf("%d slots, want 64", got)
	}
	_, files := s.files(63)
	if len(files) != 1 || !strings.Contains(files[0].Name(), strconv.Itoa(int(s.groups[0].at.port))) {
		t.Errorf("files of slot 63: %v, want one that names its port", files)
	}
}
