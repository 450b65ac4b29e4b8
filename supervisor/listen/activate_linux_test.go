package listen

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// multipathAddress is one for a socket of Multipath TCP, SocketProtocol=mptcp of a socket unit.
const multipathAddress = "127.0.0.1:00"

// socketOfSystemd opens a socket as a socket unit does; reuse is ReusePort=true. held is what systemd keeps of it.
func socketOfSystemd(t *testing.T, network, address string, reuse bool) (f *os.File, held net.Listener) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if reuse {
			_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		}
		return err
	}}
	lc.SetMultipathTCP(network == "tcp" && address == multipathAddress)
	held, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	f, err = held.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	return f, held
}

func mustTake(t *testing.T, f *os.File) *Given {
	t.Helper()
	g, err := TakeGiven(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// A socket with SO_REUSEPORT is slot 0's: the others join it, and steering works as ever. One without is shared.
func TestGivenSocket(t *testing.T) {
	for name, c := range map[string]struct {
		address       string
		option, reuse bool
	}{
		"ReusePort": {"127.0.0.1:0", true, true}, "Exclusive": {"127.0.0.1:0", false, false}, "Multipath": {multipathAddress, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			reuse := c.reuse
			f, held := socketOfSystemd(t, "tcp", c.address, c.option)
			address := held.Addr().String()
			g := mustTake(t, f)
			if got := g.Address().String(); got != address {
				t.Errorf("its address is %s, want %s", got, address)
			}
			s := mustOpenAs(t, 3, Options{Given: []*Given{g}, Policy: Random}, address)
			if shared := s.groups[0].shared; shared == reuse {
				t.Errorf("shared is %v", shared)
			}
			w := startWorker(t, s, 1)
			if !reuse {
				if slot, err := ask(s.Addresses()[0]); err != nil || slot != 1 {
					t.Errorf("answered by %d, %v; want the only one that accepts, 1", slot, err)
				}
			} else if err := s.SteerTo([]int{1}); err != nil {
				t.Fatal(err)
			}
			for range 50 {
				if slot, err := ask(s.Addresses()[0]); err != nil || slot != 1 {
					t.Fatalf("answered by %d, %v; want 1 (%+v)", slot, err, s.Steering())
				}
			}
			w.stop()
			s.Close()
			// It is still open, and what comes waits for the next start.
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatalf("after the end of the Set: %v", err)
			}
			c.Close()
			again := mustOpenAs(t, 2, Options{Given: []*Given{g}}, address)
			startWorker(t, again, 0)
			startWorker(t, again, 1)
			if _, err := ask(again.Addresses()[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// The slot of a given socket can be closed and opened again.
func TestGivenSocketIsReopened(t *testing.T) {
	f, held := socketOfSystemd(t, "tcp", "127.0.0.1:0", true)
	g := mustTake(t, f)
	s := mustOpenAs(t, 1, Options{Given: []*Given{g}}, held.Addr().String())
	if err := s.CloseSlot(0); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenSlot(0); err != nil {
		t.Fatal(err)
	}
	startWorker(t, s, 0)
	if slot, err := ask(s.Addresses()[0]); err != nil || slot != 0 {
		t.Errorf("answered by %d, %v", slot, err)
	}
}

func TestGivenUnixSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	f, _ := socketOfSystemd(t, "unix", path, false)
	g := mustTake(t, f)
	s := mustOpenAs(t, 2, Options{Given: []*Given{g}}, "unix:"+path)
	w := startWorker(t, s, 1)
	if slot, err := ask(s.Addresses()[0]); err != nil || slot != 1 {
		t.Errorf("answered by %d, %v; want 1", slot, err)
	}
	w.stop()
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file of another process's socket is gone: %v", err)
	}
}

func TestGivenServes(t *testing.T) {
	for _, c := range []struct {
		network, address string
		serves, not      []string
	}{
		{"tcp4", "127.0.0.1:0", []string{"127.0.0.1:PORT", "localhost:PORT", "tcp4://127.0.0.1:PORT"}, []string{":PORT", "127.0.0.2:PORT", "127.0.0.1:1", "127.0.0.1:0", "unix:/x"}},
		{"tcp4", "0.0.0.0:0", []string{":PORT", "0.0.0.0:PORT", "[::]:PORT"}, []string{"127.0.0.1:PORT", ":1"}},
		{"tcp", ":0", []string{":PORT", "tcp4://:PORT"}, []string{"127.0.0.1:PORT"}},
		{"tcp6", "[::1]:0", []string{"[::1]:PORT"}, []string{"127.0.0.1:PORT", ":PORT"}},
	} {
		f, held := socketOfSystemd(t, c.network, c.address, false)
		g := mustTake(t, f)
		_, port, _ := net.SplitHostPort(held.Addr().String())
		for _, text := range append(slices.Clone(c.serves), c.not...) {
			a := mustParse(t, strings.Replace(text, "PORT", port, 1))[0]
			if want := slices.Contains(c.serves, text); g.Serves(a) != want {
				t.Errorf("%s on %s for %s: %v", c.network, c.address, text, !want)
			}
		}
		if !g.Serves(mustParse(t, g.Address().String())[0]) {
			t.Errorf("%s does not serve its own address %s", held.Addr(), g.Address())
		}
	}
}

func TestNotGiven(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagram, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	for _, f := range []*os.File{r, datagram} {
		if _, err := TakeGiven(f); err == nil {
			t.Error("it was taken")
		}
	}
	if _, err := r.Stat(); err != nil {
		t.Errorf("what was refused was closed: %v", err)
	}
}
