//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network of its own, and the thread in it: what do runs opens its
// sockets and starts its processes there.
type namespace struct {
	t     *testing.T
	work  chan func()
	ended chan struct{}
}

// newNamespace makes one, with a loopback device that is up.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("SKIPPED: %s: needs root to make a network namespace", t.Name())
	}
	n := &namespace{t: t, work: make(chan func()), ended: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(n.ended)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		made <- err
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() { close(n.work) })
	if err := <-made; err != nil {
		t.Skipf("SKIPPED: %s: no network namespace can be made here: %v", t.Name(), err)
	}
	n.do(func() {
		if err := up("lo", netip.MustParsePrefix("127.0.0.1/8")); err != nil {
			t.Fatal(err)
		}
	})
	return n
}

// do runs f there. It may fail the test.
func (n *namespace) do(f func()) {
	n.t.Helper()
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	select {
	case <-done:
	case <-n.ended:
	}
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// up gives a device its address and brings it up.
func up(device string, address netip.Prefix) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, ^uint32(0)<<(32-address.Bits()))
	for _, set := range []struct {
		call  uint
		value []byte
	}{{unix.SIOCSIFADDR, address.Addr().AsSlice()}, {unix.SIOCSIFNETMASK, mask}} {
		r, err := unix.NewIfreq(device)
		if err == nil {
			err = r.SetInet4Addr(set.value)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, set.call, r)
		}
		if err != nil {
			return fmt.Errorf("cannot set the address of %s: %w", device, err)
		}
	}
	r, err := unix.NewIfreq(device)
	if err == nil {
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
	}
	return err
}

// strangers is a network of machines that send and never answer: a device whose other
// end is this file.
func strangers(t *testing.T, device string, here netip.Prefix) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("SKIPPED: %s: no tun device: %v", t.Name(), err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	r, err := unix.NewIfreq(device)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err == nil {
		err = up(device, here)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// syn is the packet that asks for a connection: IPv4 and TCP as RFC 791 and RFC 9293
// have them.
func syn(from, to netip.AddrPort, sequence uint32) []byte {
	b := make([]byte, 40)
	ip, tcp := b[:20], b[20:]
	ip[0] = 4<<4 | 5 // version, words of the header
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)))
	ip[8], ip[9] = 64, unix.IPPROTO_TCP
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))

	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	tcp[12], tcp[13] = 5<<4, 2 // words of the header; SYN
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	pseudo := append(bytes.Clone(ip[12:20]), 0, unix.IPPROTO_TCP, 0, byte(len(tcp)))
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	return b
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// halfOpen is how many handshakes wait for their last packet in the network of a process.
func halfOpen(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[3] == "03" { // TCP_SYN_RECV
			n++
		}
	}
	return n
}

// TestSYNFlood: 20,000 handshakes that are never finished, on all workers but one. A client that
// connects meanwhile is served, and what the kernel has counted for them is forgotten:
// connections are spread as evenly as before.
func TestSYNFlood(t *testing.T) {
	t.Parallel()
	const flood, slots, spared = 20_000, 6, 2 // so many that their queues have room for all
	n := newNamespace(t)
	here := netip.MustParsePrefix("10.9.0.1/16")
	n.do(func() {
		wire := strangers(t, "strange0", here)
		config := steered(slots, "steering: ebpf", "stall_timeout: off", "$FAST")
		m := startReady(t, strings.Replace(config, "127.0.0.1", here.Addr().String(), 1))
		m.of("ebpf")
		m.evenly(slots)
		lucky := m.workers("")[spared]
		mark := m.mark()
		syscall.Kill(lucky, syscall.SIGSTOP)
		m.awaitFrom(mark, is("stalled", lucky))
		to := netip.MustParseAddrPort(m.address())
		for i := range flood {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(1 + i/250), byte(1 + i%250)}), uint16(1024+i))
			if _, err := wire.Write(syn(from, to, uint32(i))); err != nil {
				t.Fatal(err)
			}
			if i%(flood/10) == 0 {
				m.spread(slots)
			}
		}
		// A queue that is full is answered with cookies: then it is fewer.
		if got := halfOpen(t, m.master()); got < flood/20 {
			t.Fatalf("%d handshakes are half open: that is not a flood", got)
		}
		syscall.Kill(lucky, syscall.SIGCONT)
		m.awaitFrom(mark, is("resumed", lucky))
		// What the others were not given back goes to this one, however busy it is.
		began := time.Now()
		m.evenly(slots)
		t.Logf("spread evenly again after %s, with %d handshakes half open", time.Since(began), halfOpen(t, m.master()))
		m.stop() // here, where its address is
	})
}
