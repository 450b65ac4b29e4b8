package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// pair is both ends of a connection.
func pair(t *testing.T, network string) (far, near net.Conn) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	_ = far.SetDeadline(time.Now().Add(eventually.Patience()))
	return far, near
}

// opened is a tunnel of a set, and its far ends.
type opened struct {
	client, member net.Conn
	done           chan bool // whether it has moved
}

func open(t *testing.T, s *Set, first string) opened {
	t.Helper()
	client, one := pair(t, "tcp")
	member, two := pair(t, "unix")
	o := opened{client, member, make(chan bool, 1)}
	go func() {
		moved := s.Run(Info{Member: "m"}, one, two, []byte(first), nil)
		one.Close()
		two.Close()
		o.done <- moved
	}()
	return o
}

func closeWrite(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() }

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("got %q, %v, want %q", b, err, want)
	}
}

func TestPasses(t *testing.T) {
	t.Parallel()
	s := New(Options{Log: quiet()})
	o := open(t, s, "first ")
	_, _ = io.WriteString(o.client, "then")
	expect(t, o.member, "first then")
	_, _ = io.WriteString(o.member, "back")
	expect(t, o.client, "back")
	closeWrite(o.client)
	if b, err := io.ReadAll(o.member); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	_, _ = io.WriteString(o.member, "still")
	expect(t, o.client, "still")
	o.member.Close()
	if <-o.done || s.Len() != 0 {
		t.Error("it has not ended")
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	s := New(Options{Idle: 20 * time.Millisecond, Log: quiet()})
	o := open(t, s, "")
	eventually.Receive(t, "the silent tunnel ends", o.done)
	if _, err := io.ReadAll(o.client); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func slot(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// worker is a set of one worker of a slot.
func worker(t *testing.T, ln net.Listener, o Options) *Set {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: tunnels move on Linux alone")
	}
	o.Log = quiet()
	s := New(o)
	if err := s.Listen(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestMove: 200 silent tunnels and 20 through which bytes run both ways, some against a reader that does not read, move over three
// workers. Each byte arrives once and in order, and half-closed ones stay so.
func TestMove(t *testing.T) {
	t.Parallel()
	ln := slot(t)
	now := worker(t, ln, Options{})
	var all []opened
	for range 200 {
		all = append(all, open(t, now, ""))
	}
	const total = 4 << 20
	var wg sync.WaitGroup
	started := make(chan struct{}, 100)
	for i := range 20 {
		o := open(t, now, "")
		all = append(all, o)
		for _, way := range [][2]net.Conn{{o.client, o.member}, {o.member, o.client}} {
			wg.Go(func() {
				b := make([]byte, 7001)
				for sent := 0; sent < total; sent += len(b) {
					for k := range b {
						b[k] = byte((sent + k + i) % 251)
					}
					n, err := way[0].Write(b[:min(len(b), total-sent)])
					if err != nil {
						t.Errorf("write after %d: %v", sent+n, err)
						return
					}
				}
				closeWrite(way[0])
			})
			wg.Go(func() {
				b, at := make([]byte, 5000), 0
				for {
					n, err := way[1].Read(b)
					for k := range n {
						if b[k] != byte((at+k+i)%251) {
							t.Errorf("tunnel %d: byte %d is wrong", i, at+k)
							return
						}
					}
					if at == 0 {
						started <- struct{}{}
					}
					at += n
					if err == io.EOF && at == total {
						return
					}
					if err != nil {
						t.Errorf("tunnel %d: %v after %d of %d bytes", i, err, at, total)
						return
					}
				}
			})
		}
	}
	for range 40 {
		<-started
	}
	closeWrite(all[0].client)
	if _, err := io.ReadAll(all[0].member); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		next := worker(t, ln, Options{})
		ctx, cancel := context.WithTimeout(context.Background(), eventually.Patience())
		now.Drain(ctx)
		cancel()
		if now.Len() != 0 {
			t.Errorf("%d tunnels are left", now.Len())
		}
		now = next
	}
	wg.Wait()
	for i, o := range all[:200] {
		if !<-o.done {
			t.Errorf("tunnel %d has not moved", i)
		}
		if i > 0 {
			_, _ = io.WriteString(o.client, "to")
			expect(t, o.member, "to")
		}
		_, _ = io.WriteString(o.member, "back")
		expect(t, o.client, "back")
		o.client.Close()
		o.member.Close()
	}
	for _, o := range all[200:] {
		o.client.Close()
		o.member.Close()
	}
	eventually.True(t, "all have ended", func() bool { return now.Len() == 0 })
}

// TestMoveInHand: bytes that the pump has read, and the other side does not take, move.
func TestMoveInHand(t *testing.T) {
	t.Parallel()
	ln := slot(t)
	old := worker(t, ln, Options{})
	o := open(t, old, "")
	sent := 0
	_ = o.client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	b := bytes.Repeat([]byte("0123456789"), 1000)
	for {
		n, err := o.client.Write(b)
		sent += n
		if err != nil {
			break // all buffers are full, and that of the pump too
		}
	}
	next := worker(t, ln, Options{})
	old.Drain(t.Context())
	if !<-o.done {
		t.Fatal("it has not moved")
	}
	closeWrite(o.client)
	got, err := io.ReadAll(o.member)
	if err != nil || len(got) != sent {
		t.Fatalf("%d of %d bytes arrive: %v", len(got), sent, err)
	}
	for i, c := range got {
		if c != byte('0'+i%10) {
			t.Fatalf("byte %d is %q", i, c)
		}
	}
	o.member.Close()
	eventually.True(t, "it ends", func() bool { return next.Len() == 0 })
}

// TestMoveCounts: the successor counts the tunnel at its member as long as it lasts; a tunnel that begins late moves too.
func TestMoveCounts(t *testing.T) {
	t.Parallel()
	ln := slot(t)
	old := worker(t, ln, Options{})
	counted, released := make(chan Info, 1), make(chan struct{}, 1)
	next := worker(t, ln, Options{Count: func(i Info) func() { counted <- i; return func() { released <- struct{}{} } }})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	old.Drain(ctx)
	o := open(t, old, "late")
	if i := eventually.Receive(t, "it is counted", counted); i.Member != "m" {
		t.Errorf("%+v", i)
	}
	expect(t, o.member, "late")
	o.member.Close()
	o.client.Close()
	eventually.Receive(t, "it is released", released)
	eventually.True(t, "it ends", func() bool { return next.Len() == 0 })
}

// TestStays: without a successor, and with one that takes no tunnel, the tunnels go on where they are.
func TestStays(t *testing.T) {
	t.Parallel()
	ln := slot(t)
	old := worker(t, ln, Options{})
	o := open(t, old, "")
	drained := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		old.Drain(ctx)
		_, _ = io.WriteString(o.client, "goes on")
		expect(t, o.member, "goes on")
	}
	drained()
	for name, serve := range map[string]func(*net.UnixConn){
		"closes": func(*net.UnixConn) {},
		"dies before go": func(c *net.UnixConn) {
			b, oob := make([]byte, mostMessage), make([]byte, 100)
			_, n, _, _, _ := c.ReadMsgUnix(b, oob)
			for _, fd := range descriptors(oob[:n]) {
				syscall.Close(fd)
			}
		},
		"says nonsense": func(c *net.UnixConn) {
			b, oob := make([]byte, mostMessage), make([]byte, 100)
			_, n, _, _, _ := c.ReadMsgUnix(b, oob)
			for _, fd := range descriptors(oob[:n]) {
				syscall.Close(fd)
			}
			_, _ = c.Write([]byte("no"))
		},
	} {
		d, err := newDoor(ln)
		if err != nil {
			t.Fatal(name, err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := d.ln.AcceptUnix()
				if err != nil {
					return
				}
				serve(c)
				c.Close()
			}
		})
		drained()
		d.ln.Close()
		wg.Wait()
	}
	o.client.Close()
	o.member.Close()
	if <-o.done {
		t.Error("it has moved")
	}
}

// TestStrangers: a client of the door that sends no tunnel harms nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	ln := slot(t)
	s := worker(t, ln, Options{})
	for _, b := range [][]byte{{}, []byte("nonsense"), {0, 0, 0, 2, '{', '}'}} {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: s.door.known, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(b)
		_ = c.SetReadDeadline(time.Now().Add(eventually.Patience()))
		if n, err := c.Read(make([]byte, 10)); n != 0 && err == nil {
			t.Errorf("%q is answered", b)
		}
		c.Close()
	}
	if s.Len() != 0 {
		t.Errorf("%d tunnels", s.Len())
	}
	info, err := os.Lstat(s.door.known)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func FuzzOffer(f *testing.F) {
	b, err := offer{Info: Info{ID: "1", Member: "m"}, Over: [2]bool{true, false}, hand: [2][]byte{[]byte("abc"), []byte("d")}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOffer(b)
		if err != nil {
			return
		}
		again, err := o.encode()
		if errors.Is(err, errStays) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decodeOffer(again); err != nil || !reflect.DeepEqual(o, p) {
			t.Fatalf("%+v became %+v: %v", o, p, err)
		}
	})
}
